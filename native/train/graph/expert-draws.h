// Experts that tokens draw by chance, for routers that learn from the choice itself (SparseMixer). The host's side. Pure.
#pragma once

#include "expert-groups.h"
#include "routing.h"

namespace moebius {

// best: each draw was the best one there was, nothing was left to chance; else the token's experts are weighed as they are (whole) or by half, as a coin says.
enum class draw_kind : uint8_t { best, whole, half };

struct expert_draws {
    std::vector<int32_t>   ids;     // [tokens][k], each at most once
    std::vector<draw_kind> kinds;   // [tokens]
    std::vector<float>     slopes;  // [tokens][experts], d log(probability of these draws) / d logits
};

// k of the experts for each token, one after the other without replacement, by the softmax of those that are left and in reach: with logits z, best the largest of them,
//   best - z_i <= 2 * reach * max(|z_i|, best)
// (SparseMixer-v2's masked softmax in GRIN, arXiv 2409.12136, where reach is the router's jitter, 0.01; 1: all, as SparseMixer's in arXiv 2310.00811; 0: the best ones).
// logits: [tokens][experts], finite. A function of its arguments: token t's draws are numbers of stream and t.
expert_draws draw_experts(const std::vector<float> & logits, int64_t experts, int64_t k, double reach, uint64_t stream);

// What train_drawn_weights takes of them, as inputs of a graph.
struct draw_inputs {
    draw_inputs() = default;
    draw_inputs(train_tape & tape, int64_t assignments, int64_t tokens, int64_t experts);
    void fill(const expert_draws & draws, const expert_groups & groups, const routing_inputs::writer & write) const;

    ggml_tensor * shares = nullptr;  // F32 [1, assignments] of their weights that count: 1 or 1/2
    ggml_tensor * paths  = nullptr;  // F32 [1, assignments] by how much the gradient of the weights is multiplied
    ggml_tensor * slopes = nullptr;  // F32 [experts, tokens] as above, multiplied likewise
};

}  // namespace moebius
