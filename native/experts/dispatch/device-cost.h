// What batches of experts cost on a device of this machine, measured.
#pragma once

#include "device-fetch.h"
#include "experts/policy/cost-model.h"

namespace moebius {

// In a layer in which the device has `slots`, `experts` of them at least: from batches of one expert, of that many, and of these with many tokens each (of `tokens`, the
// largest batch, at most), the median of several each. As between two layers, each batch is of experts that were not used just now, behind a pause. What moves over the link is
// part of it. Before that, the device computes the largest batches that it can get: the driver compiles its shaders and takes all memory that it ever needs. (Mesa's software
// device 22.3 crashed in half of the runs on two devices without this: in its code that unbinds buffers.) beside: threads of the CPU that read memory meanwhile, as those do that compute experts:
// a device may share memory, bus or cores with them. Throws model.load-failed when the device fails.
batch_cost measure_device(device_ffn & ffn, const std::string & id, const expert_layout & layout, uint32_t layer, uint32_t slots, uint32_t experts, uint32_t tokens, int beside = 0);

// The time that a row of `columns` floats takes there and back, the median of several. Throws model.load-failed when the device has no memory for it.
double measure_link(device_slots & slots, size_t columns);

// Of fetching `expert` of the first layer, which is in RAM, and computing with it: for one token, and for several (`tokens` at most). Throws model.load-failed.
batch_cost measure_fetches(device_fetch & fetcher, const std::string & id, const expert_layout & layout, uint32_t expert, uint32_t tokens);

}  // namespace moebius
