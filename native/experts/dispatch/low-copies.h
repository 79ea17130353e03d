// Replicate-and-Quantize on devices (arXiv 2602.19938, policy/replicate-quantize): beside the copies of a device_tier, slots with experts in fewer bits, which make room for more copies of
// busy experts within the same budgets. Lossy.
//
// It looks at some hundred tokens of a layer first, then makes its slots, once. Which experts are in them is looked at again after as many tokens.
#pragma once

#include "device-ffn.h"
#include "experts/policy/replicate-quantize.h"
#include "experts/store/device-tier.h"

namespace moebius {

struct low_precision_choice {
    ggml_type type  = GGML_TYPE_Q4_0;  // of low_precision_layout
    double    share = 0.25;            // of a layer's experts, at most
};

class low_copies {
  public:
    // Tokens of a layer between two looks.
    static constexpr uint32_t calibration_tokens = 256;

    // tokens: of the largest batch. `source` and `full`, whose slots it takes memory from, outlive it. Throws request.invalid: a device does not compute with the type, or it is no
    // smaller; model.does-not-fit.
    low_copies(expert_storage & source, device_tier & full, const low_precision_choice & choice, uint32_t tokens);
    ~low_copies();

    const low_precision_choice & choice() const { return chosen; }
    const device_tier &          copies() const { return tier; }

    // --- one batch in one layer, by one thread, one at a time

    // tokens: [experts] of the batch. Slots of the layer stay as they are until `end`.
    device_placement begin(const expert_batch & batch, const std::vector<uint32_t> & tokens);
    // tokens: [devices], what each computed in low precision.
    void             end(uint32_t layer, const std::vector<uint32_t> & tokens) { tier.end(layer, tokens); }
    // Of a device that has copies here.
    device_ffn &     ffn(uint32_t device) { return *ffns[device]; }

    // --- any thread

    void                           give_up(uint32_t device) { tier.give_up(device); }
    void                           set_adapts(bool adapts) { tier.set_adapts(adapts); }
    std::vector<std::vector<bool>> low() const;         // [layer][expert], those that devices are to hold in low precision only
    uint32_t                       calibrated() const;  // layers that were looked at
    // Nothing changes any more; waits for what is under way. All experts may be in `full` again.
    void                           stop();

  private:
    struct layer_state {
        std::vector<double> loads, importance;  // [experts]
        std::vector<bool>   low;                // [experts]; empty: not looked at yet
        uint32_t            seen = 0;           // tokens since the last look
        bool                due  = false;
    };

    void                  run();
    void                  look_at(uint32_t layer, std::unique_lock<std::mutex> & lock);
    precision_request     request_of(uint32_t layer, const layer_state & state) const;
    bool                  make_slots(uint32_t layer, const precision_plan & plan);
    void                  keep_apart(uint32_t layer, const std::vector<bool> & low);

    expert_storage &                         source;
    device_tier &                            full;
    low_precision_choice                     chosen;
    expert_layout                            layout;
    device_tier                              tier;
    std::vector<std::unique_ptr<device_ffn>> ffns;  // null: no budget
    mutable std::mutex                       mutex;
    std::condition_variable                  changed;
    std::vector<layer_state>                 layers;
    bool                                     closing = false;
    std::thread                              watcher;
};

}  // namespace moebius
