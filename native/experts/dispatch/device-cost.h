// What batches of experts cost on a device of this machine, measured.
#pragma once

#include "device-ffn.h"
#include "experts/policy/cost-model.h"

namespace moebius {

// In a layer in which the device has slots for at least `experts`: from batches of one expert, of all, and of these with many tokens each (`tokens` at
// most), the median of several each. What moves over the link is part of it. Throws model.load-failed when the device fails.
batch_cost measure_device(device_ffn & ffn, const std::string & id, const expert_layout & layout, uint32_t layer, uint32_t experts, uint32_t tokens);

}  // namespace moebius
