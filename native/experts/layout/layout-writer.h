// Makes the layout file of a model.
#pragma once

#include "layout-file.h"

#include <functional>

namespace moebius {

// [layer][position] -> expert
using layout_orders = std::vector<std::vector<uint32_t>>;

// Every layer in the order of the experts' numbers.
layout_orders layout_orders_by_index(const expert_layout & layout);

// Bytes that are written before the disk has to have them: at the disk's speed, and so few that nobody else's reads wait long behind them.
constexpr uint64_t layout_flush            = 64u << 20;
constexpr uint64_t layout_flush_background = 8u << 20;

// Copies all experts of `layout` (from where it has them in the model's own files) to `path`. `go_on` hears bytes of bytes, at least every
// few MiB, and may take its time; false stops: then, as after an error or a kill, there is no new file, and an older one is as it was. Gives
// the size of the file; 0: stopped. Throws disk.full, file.unwritable, file.unreadable.
uint64_t layout_write(const expert_layout & layout, const std::string & fingerprint, const layout_orders & orders, const std::string & path, uint64_t flush_bytes,
                      const std::function<bool(uint64_t, uint64_t)> & go_on);

// The same with the experts requantised to the types of `low`, a low_precision_layout of `layout`, by number; for the background.
uint64_t layout_write_low(const expert_layout & layout, const expert_layout & low, const std::string & fingerprint, const std::string & path,
                          const std::function<bool(uint64_t, uint64_t)> & go_on);

}  // namespace moebius
