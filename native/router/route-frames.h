// Collects the routes of single tokens of one generation for ROUTES frames.
#pragma once

#include "observer.h"

#include <llama.h>

#include <cstdint>
#include <vector>

namespace moebius {

class route_frames {
  public:
    explicit route_frames(const router_shape & shape);

    // Adds tokens first .. first + count - 1 of `routes`; their ids are `tokens[0 .. count - 1]` and the first one is at
    // `position` of its sequence. Positions must follow those already collected (see continues).
    void add(const observed_routes & routes, uint32_t first, uint32_t count, const llama_token * tokens, uint32_t position);

    // Whether a token at `position` fits in the frame that is being collected.
    bool continues(uint32_t position) const { return empty() || position == first_position + ids.size(); }
    bool empty() const { return ids.empty(); }

    std::vector<uint8_t> take_frame(uint32_t generation);

  private:
    uint32_t                 layer_count;
    uint32_t                 used;
    uint32_t                 first_position = 0;
    std::vector<llama_token> ids;
    std::vector<uint16_t>    experts;  // [token][row][k]
    std::vector<float>       weights;
};

}  // namespace moebius
