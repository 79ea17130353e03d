#include "layout-order.h"

#include "experts/policy/expert-order.h"
#include "router/observer.h"

#include <algorithm>

namespace moebius {

namespace {

// Rows of the recording for the layers of the layout.
std::vector<uint32_t> trace_rows_of(const expert_layout & layout, const routing_trace & trace) {
    std::vector<uint32_t> rows;
    for (const expert_layer & layer : layout.layers) {
        const auto found = std::find(trace.shape.layers.begin(), trace.shape.layers.end(), layer.block);
        if (found == trace.shape.layers.end() || trace.shape.expert_count != layout.experts) {
            throw user_error("request.invalid",
                             "The trace is of a model with " + std::to_string(trace.shape.layers.size()) + " MoE layers of " + std::to_string(trace.shape.expert_count) +
                                 " experts, this one has " + std::to_string(layout.layers.size()) + " of " + std::to_string(layout.experts) +
                                 ". Record one with this model (moebius trace).",
                             { { "parameter", "trace" } });
        }
        rows.push_back(uint32_t(found - trace.shape.layers.begin()));
    }
    return rows;
}

// Calls each(layer, experts) for every layer of the tokens [begin, end) of the recording.
template <typename Each>
void for_each_choice(const routing_trace & trace, const std::vector<uint32_t> & rows, uint64_t begin, uint64_t end, Each && each) {
    const uint32_t        used = trace.shape.expert_used_count, row_count = trace.shape.layer_count();
    std::vector<uint32_t> chosen;
    uint64_t              token = 0;
    for (const trace_record & record : trace.records) {
        for (uint32_t t = 0; t < record.tokens; t++, token++) {
            for (size_t layer = 0; token >= begin && token < end && layer < rows.size(); layer++) {
                const uint16_t * row = record.experts.data() + (size_t(t) * row_count + rows[layer]) * used;
                chosen.clear();
                std::copy_if(row, row + used, std::back_inserter(chosen), [](uint16_t expert) { return expert != observed_routes::not_computed; });
                if (!chosen.empty()) {
                    each(layer, chosen);
                }
            }
        }
    }
}

layout_orders orders_from(const expert_layout & layout, const routing_trace & trace, uint64_t begin, uint64_t end) {
    const std::vector<uint32_t> rows = trace_rows_of(layout, trace);
    std::vector<co_use_counts>  counts(layout.layers.size(), co_use_counts(layout.experts));
    for_each_choice(trace, rows, begin, end, [&](size_t layer, const std::vector<uint32_t> & chosen) { counts[layer].add(chosen); });
    layout_orders orders;
    for (const co_use_counts & of : counts) {
        orders.push_back(expert_order(of));
    }
    return orders;
}

}  // namespace

layout_orders layout_orders_from(const expert_layout & layout, const routing_trace & trace) {
    return orders_from(layout, trace, 0, trace.tokens());
}

layout_gain layout_gain_of(const expert_layout & layout, const routing_trace & trace) {
    const uint64_t                     all = trace.tokens(), half = all / 2;
    std::vector<std::vector<uint32_t>> positions;
    for (const std::vector<uint32_t> & order : orders_from(layout, trace, 0, half)) {
        positions.push_back(positions_of(order));
    }
    std::vector<uint32_t> by_index(layout.experts);
    for (uint32_t e = 0; e < layout.experts; e++) {
        by_index[e] = e;
    }
    layout_gain gain;
    uint64_t    choices = 0;
    for_each_choice(trace, trace_rows_of(layout, trace), half, all, [&](size_t layer, const std::vector<uint32_t> & chosen) {
        choices++;
        gain.chosen += double(chosen.size());
        gain.pieces_by_index += pieces_of(chosen, by_index);
        gain.pieces += pieces_of(chosen, positions[layer]);
    });
    gain.tokens = all - half;
    for (double * sum : { &gain.chosen, &gain.pieces_by_index, &gain.pieces }) {
        *sum /= double(std::max<uint64_t>(1, choices));
    }
    return gain;
}

}  // namespace moebius
