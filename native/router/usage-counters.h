// How often each expert was chosen, and with what weight, since the last ROUTING frame of one generation.
#pragma once

#include "observer.h"
#include "rpc/frame-writer.h"

#include <cstdint>
#include <vector>

namespace moebius {

class usage_counters {
  public:
    explicit usage_counters(const router_shape & shape);

    // Adds tokens first .. first + count - 1 of `routes`.
    void add(const observed_routes & routes, uint32_t first, uint32_t count);

    bool empty() const { return tokens == 0; }

    // The increments since the last call as a ROUTING frame; they start at zero again.
    std::vector<uint8_t> take_frame(uint32_t generation);

  private:
    struct cell {
        uint32_t count  = 0;
        float    weight = 0;
    };

    uint32_t              layer_count;
    uint32_t              expert_count;
    uint32_t              tokens = 0;
    std::vector<cell>     cells;    // [row][expert]
    std::vector<uint32_t> touched;  // cells with a count
};

}  // namespace moebius
