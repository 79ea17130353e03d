#include "route-frames.h"

#include "rpc/frame-writer.h"

#include <ggml.h>

namespace moebius {

route_frames::route_frames(const router_shape & shape) : layer_count(shape.layer_count()), used(shape.expert_used_count) {}

void route_frames::add(const observed_routes & routes, uint32_t first, uint32_t count, const llama_token * tokens, uint32_t position) {
    if (empty()) {
        first_position = position;
    }
    const size_t stride = size_t(layer_count) * used;
    const auto   from_e = routes.experts.begin() + ptrdiff_t(first * stride);
    const auto   from_w = routes.weights.begin() + ptrdiff_t(first * stride);
    ids.insert(ids.end(), tokens, tokens + count);
    experts.insert(experts.end(), from_e, from_e + ptrdiff_t(count * stride));
    weights.insert(weights.end(), from_w, from_w + ptrdiff_t(count * stride));
}

std::vector<uint8_t> route_frames::take_frame(uint32_t generation) {
    frame_writer frame;
    frame.reserve(32 + 4 * ids.size() + 4 * experts.size());
    frame.begin(frame_kind::routes, generation);
    frame.u32(first_position);
    frame.u32(uint32_t(ids.size()));
    frame.u16(uint16_t(layer_count));
    frame.u16(uint16_t(used));
    frame.append(ids.data(), ids.size() * sizeof(llama_token));
    frame.append(experts.data(), experts.size() * sizeof(uint16_t));
    std::vector<ggml_fp16_t> halves(weights.size());
    ggml_fp32_to_fp16_row(weights.data(), halves.data(), int64_t(weights.size()));
    frame.append(halves.data(), halves.size() * sizeof(ggml_fp16_t));
    ids.clear();
    experts.clear();
    weights.clear();
    return frame.take();
}

}  // namespace moebius
