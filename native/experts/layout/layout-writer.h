// Makes the layout file of a model.
#pragma once

#include "layout-file.h"

#include <functional>

namespace moebius {

// [layer][position] -> expert
using layout_orders = std::vector<std::vector<uint32_t>>;

// Every layer in the order of the experts' numbers.
layout_orders layout_orders_by_index(const expert_layout & layout);

// Copies all experts of `layout` (from where it has them in the model's own files) to `path`. `go_on` hears bytes of bytes; false stops:
// then, as after an error or a kill, there is no new file, and an older one is as it was. Gives the size of the file; 0: stopped.
// Throws disk.full, file.unwritable, file.unreadable.
uint64_t layout_write(const expert_layout & layout, const std::string & fingerprint, const layout_orders & orders, const std::string & path,
                      const std::function<bool(uint64_t, uint64_t)> & go_on);

}  // namespace moebius
