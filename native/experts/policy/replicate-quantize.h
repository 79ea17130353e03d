// Replicate-and-Quantize (arXiv 2602.19938): copies of overloaded experts within a byte budget, paid for by keeping the least important experts in fewer bits. Pure. Lossy.
//
// Load and importance are apart, since an expert that is chosen often may count for little. Load: tokens. Importance here: the sum over its tokens of the squared gate weight, which is
// how much of an error that is the same share of every expert's output reaches the hidden state, as energy (the paper weighs activations, which the host does not see of devices).
#pragma once

#include "replica-placement.h"

namespace moebius {

// One layer on devices.
struct precision_request {
    std::vector<double>   loads;       // [experts]
    std::vector<double>   importance;  // [experts]
    std::vector<bool>     stay;        // [experts], those that stay in full precision (super experts); empty: none must
    std::vector<double>   speeds;      // [devices]
    std::vector<uint64_t> bytes;       // [devices], budgets
    uint64_t              full_bytes = 0, low_bytes = 0;  // of an expert
    double                share      = 0.5;               // of the experts that may be in low precision, at most
};

// Copies in low precision have slots of their own. Devices never hold more bytes than their budgets.
struct precision_plan {
    std::vector<bool>     low;         // [experts], those that devices hold in low precision only
    std::vector<uint32_t> full_slots;  // [devices]
    std::vector<uint32_t> low_slots;   // [devices]

    uint32_t low_count() const;
};

// The `count` least important experts, of those that need not stay.
std::vector<bool> least_important(const std::vector<double> & importance, const std::vector<bool> & stay, uint32_t count);

// The same number as in `low`, changed where an expert outside is `gain` times less important than one inside, or one inside has to stay.
std::vector<bool> least_important_now(std::vector<bool> low, const std::vector<double> & importance, const std::vector<bool> & stay, double gain = 1.2);

// With so many experts in low precision: each has one slot, and what is left of the budgets are slots for the others.
precision_plan plan_with(const precision_request & request, uint32_t count);

// What a batch with these loads would take (split_makespan) with copies packed into the plan's slots; and the load that no device has an expert for.
struct precision_forecast {
    double uncovered = 0, makespan = 0;
};
precision_forecast forecast(const precision_request & request, const precision_plan & plan);

// The number of experts in low precision that lets devices compute the most and end the earliest; of several within 0.5% the fewest, so none where nothing is gained.
// Throws request.invalid (check_rig).
precision_plan plan_precision(const precision_request & request);

}  // namespace moebius
