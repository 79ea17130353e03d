#include "usage-counters.h"

namespace moebius {

usage_counters::usage_counters(const router_shape & shape)
    : layer_count(shape.layer_count()), expert_count(shape.expert_count), cells(shape.cell_count()) {}

void usage_counters::add(const observed_routes & routes, uint32_t first, uint32_t count) {
    const size_t     used    = routes.used_max;
    const size_t     stride  = size_t(layer_count) * used;
    const uint16_t * expert  = routes.experts.data() + first * stride;
    const float *    weight  = routes.weights.data() + first * stride;
    tokens += count;
    for (uint32_t t = 0; t < count; ++t) {
        for (uint32_t base = 0, row = 0; row < layer_count; ++row, base += expert_count) {
            for (size_t k = 0; k < used; ++k, ++expert, ++weight) {
                if (*expert == observed_routes::not_computed) {
                    continue;
                }
                cell & c = cells[base + *expert];
                if (c.count++ == 0) {
                    touched.push_back(base + *expert);
                }
                c.weight += *weight;
            }
        }
    }
}

std::vector<uint8_t> usage_counters::take_frame(uint32_t generation) {
    frame_writer frame;
    frame.reserve(32 + 12 * touched.size());
    frame.begin(frame_kind::routing, generation);
    frame.u16(uint16_t(layer_count));
    frame.u16(uint16_t(expert_count));
    frame.u32(tokens);
    frame.u32(uint32_t(touched.size()));
    for (const uint32_t index : touched) {
        frame.u32(index);
        frame.u32(cells[index].count);
        frame.f32(cells[index].weight);
        cells[index] = {};
    }
    touched.clear();
    tokens = 0;
    return frame.take();
}

}  // namespace moebius
