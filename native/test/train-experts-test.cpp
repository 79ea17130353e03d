// Gradients of routers and of experts with adapters; experts that nobody chose have none.
#include "expert-stacks.h"
#include "small-routing.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-router.h"
#include "train/graph/ops-softmax.h"

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

void groups_are_sorted_by_expert() {
    const expert_groups groups(chosen, used, experts);
    CHECK_EQUAL(groups.groups.size(), 4u);
    CHECK_EQUAL(groups.groups[2].expert, 2);
    CHECK_EQUAL(groups.groups[3].expert, 4);
    CHECK_EQUAL(groups.groups[3].begin, 7);
    CHECK_EQUAL(groups.groups[3].count, 4);
    CHECK(groups.token == std::vector<int32_t>({ 0, 3, 6, 0, 3, 1, 4, 1, 4, 5, 6 }));
    CHECK(!groups.even());
    CHECK(top_experts({ 1, 3, 2, 3, 5, 0, 0, 1 }, 4, 2) == std::vector<int32_t>({ 1, 3, 0, 3 }));
}

// weights of assignments, from logits [token][experts]
numbers router_weights(const numbers & logits, const expert_groups & groups, bool normalised, double scale) {
    numbers y;
    for (size_t a = 0; a < groups.token.size(); a++) {
        double all = 0, picked = 0;
        for (size_t e = 0; e < experts; e++) {
            const size_t at = size_t(groups.token[a]) * experts + e;
            all += std::exp(logits[at]);
            picked += groups.chosen[at] != 0 ? std::exp(logits[at]) : 0;
        }
        y.push_back(scale * std::exp(logits[size_t(groups.at[a])]) / (normalised ? picked : all));
    }
    return y;
}

void weights_of_the_router(bool normalised) {
    const expert_groups groups(chosen, used, experts);
    check_op({ normalised ? "normalised router weights" : "router weights", { { int64_t(experts), int64_t(tokens), 1, true, GGML_TYPE_F32, 2 } },
               [&](graph_maker & maker, const values & of) {
                   return train_router_weights(maker.tape, train_softmax(maker.tape, of[0]), routing_in(maker, groups), normalised, 1.5f);
               },
               [&](const std::vector<numbers> & of) { return router_weights(of[0], groups, normalised, 1.5); } });
}

// Of sigmoids, where a token's may be next to nothing: then they are divided by the least that llama.cpp divides by.
void weights_of_sigmoids() {
    const expert_groups groups(chosen, used, experts);
    check_op({ "normalised weights of sigmoids", { { int64_t(experts), int64_t(tokens), 1, true, GGML_TYPE_F32, 2 } },
               [&](graph_maker & maker, const values & of) {
                   std::vector<float> low(experts * tokens, 0.0f);
                   std::fill(low.begin() + 4 * experts, low.begin() + 5 * experts, -14.0f);  // of token 4
                   const train_value logits = train_add(maker.tape, of[0], train_value(maker.floats(low, experts, tokens)));
                   return train_router_weights(maker.tape, train_sigmoid(maker.tape, logits), routing_in(maker, groups), true, 1.5f);
               },
               [&](const std::vector<numbers> & of) {
                   numbers    y;
                   const auto score = [&](size_t at) { return 1 / (1 + std::exp(-of[0][at] + (at / experts == 4 ? 14 : 0))); };
                   for (size_t a = 0; a < groups.token.size(); a++) {
                       double sum = 0;
                       for (size_t e = 0; e < experts; e++) {
                           const size_t at = size_t(groups.token[a]) * experts + e;
                           sum += groups.chosen[at] != 0 ? score(at) : 0;
                       }
                       y.push_back(1.5 * score(size_t(groups.at[a])) / std::max(sum, 6.103515625e-5));
                   }
                   return y;
               } });
}

void shares_of_scores() {
    check_op({ "shares", { { int64_t(experts), int64_t(tokens) } }, [&](graph_maker & maker, const values & of) { return train_shares(maker.tape, train_sigmoid(maker.tape, of[0])); },
               [&](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t t = 0; t < tokens; t++) {
                       double sum = 0;
                       for (size_t e = 0; e < experts; e++) {
                           sum += 1 / (1 + std::exp(-of[0][t * experts + e]));
                       }
                       for (size_t e = 0; e < experts; e++) {
                           y.push_back(1 / (1 + std::exp(-of[0][t * experts + e])) / sum);
                       }
                   }
                   return y;
               } });
}

void only_the_best_groups_are_chosen_from() {
    // of groups of three, the second has the best expert, the first and the third have the best sums of two
    const std::vector<float> scores{ 5, 5, 1, 9, 0, 0, 4, 6, 3, 1, 1, 1 };
    CHECK(top_experts(scores, 12, 3) == std::vector<int32_t>({ 3, 7, 0 }));
    CHECK(top_experts(within_best_groups(scores, 12, 4, 1), 12, 3) == std::vector<int32_t>({ 0, 1, 2 }));
    CHECK(top_experts(within_best_groups(scores, 12, 4, 2), 12, 3) == std::vector<int32_t>({ 7, 0, 1 }));
    CHECK(top_experts(within_best_groups(scores, 12, 6, 2), 12, 3) == std::vector<int32_t>({ 3, 0, 1 }));
    CHECK(top_experts(within_best_groups({ 8, 0, 0, 5, 4, 1, 2, 1, 9, 8, 0, 0 }, 6, 3, 1), 6, 2) == std::vector<int32_t>({ 0, 1, 2, 3 }));
}

// Token 2 is padding.
void losses_of_the_router() {
    const std::vector<float> load{ 0.5f, 2, 0.25f, 0, 1 };
    std::vector<float>       count(tokens, 1.0f / 6);
    count[2] = 0;
    check_op({ "balance loss", { { int64_t(experts), int64_t(tokens) } },
               [&](graph_maker & maker, const values & of) {
                   return train_balance_loss(maker.tape, train_softmax(maker.tape, of[0]), maker.floats(load, experts), maker.floats(count, 1, tokens));
               },
               [&](const std::vector<numbers> & of) {
                   double loss = 0;
                   for (size_t t = 0; t < tokens; t++) {
                       double all = 0;
                       for (size_t e = 0; e < experts; e++) {
                           all += std::exp(of[0][t * experts + e]);
                       }
                       for (size_t e = 0; e < experts; e++) {
                           loss += double(load[e]) * double(count[t]) * std::exp(of[0][t * experts + e]) / all;
                       }
                   }
                   return numbers{ loss };
               } });
    check_op({ "z-loss", { { int64_t(experts), int64_t(tokens), 1, true, GGML_TYPE_F32, 3 } },
               [&](graph_maker & maker, const values & of) { return train_router_z_loss(maker.tape, of[0], maker.floats(count, 1, tokens)); },
               [&](const std::vector<numbers> & of) {
                   double loss = 0;
                   for (size_t t = 0; t < tokens; t++) {
                       double all = 0;
                       for (size_t e = 0; e < experts; e++) {
                           all += std::exp(of[0][t * experts + e]);
                       }
                       loss += double(count[t]) * std::log(all) * std::log(all);
                   }
                   return numbers{ loss };
               } });
}

// Expert e's matrix, adapter included, times x; w: [e][n_out][n_in], a: [e][rank][n_in], b: [e][n_out][rank]
numbers expert_linear(const numbers & w, const numbers & a, const numbers & b, size_t e, const numbers & x, size_t n_out) {
    const size_t n_in = x.size();
    numbers      y;
    for (size_t o = 0; o < n_out; o++) {
        double sum = 0;
        for (size_t i = 0; i < n_in; i++) {
            sum += w[(e * n_out + o) * n_in + i] * x[i];
            for (size_t r = 0; r < rank; r++) {
                sum += 0.5 * b[(e * n_out + o) * rank + r] * a[(e * rank + r) * n_in + i] * x[i];
            }
        }
        y.push_back(sum);
    }
    return y;
}

// of: x, weights, gate or gate_up (w, a, b), up (w, a, b) unless fused, down (w, a, b)
numbers experts_output(const std::vector<numbers> & of, const expert_groups & groups, bool fused) {
    numbers y(tokens * embd, 0.0);
    for (size_t at = 0; at < groups.token.size(); at++) {
        const size_t t = size_t(groups.token[at]), e = size_t(groups.at[at]) % experts;
        const numbers x(of[0].begin() + ptrdiff_t(t * embd), of[0].begin() + ptrdiff_t((t + 1) * embd));
        numbers       gate = expert_linear(of[2], of[3], of[4], e, x, fused ? 2 * ff : ff);
        const numbers up   = fused ? numbers(gate.begin() + ff, gate.end()) : expert_linear(of[5], of[6], of[7], e, x, ff);
        gate.resize(ff);
        for (size_t i = 0; i < ff; i++) {
            gate[i] *= up[i] / (1 + std::exp(-gate[i]));
        }
        const size_t  d    = fused ? 5 : 8;
        const numbers down = expert_linear(of[d], of[d + 1], of[d + 2], e, gate, embd);
        for (size_t i = 0; i < embd; i++) {
            y[t * embd + i] += of[1][at] * down[i];
        }
    }
    return y;
}

std::vector<operand> experts_operands(const expert_groups & groups, bool fused) {
    std::vector<operand> all{ { int64_t(embd), int64_t(tokens) }, { 1, int64_t(groups.token.size()) } };
    const auto           add = [&](size_t n_in, size_t n_out) {
        all.push_back({ int64_t(n_in), int64_t(n_out), int64_t(experts), false });
        all.push_back({ int64_t(n_in), int64_t(rank), int64_t(experts) });
        all.push_back({ int64_t(rank), int64_t(n_out), int64_t(experts) });
    };
    add(embd, fused ? 2 * ff : ff);
    if (!fused) {
        add(embd, ff);
    }
    add(ff, embd);
    return all;
}

void experts_with_adapters(const std::vector<int32_t> & ids, bool fused) {
    const expert_groups groups(ids, used, experts);
    expert_ffn          ffn;
    expert_output       output;
    check_op({ fused ? "experts with gate and up in one" : "experts", experts_operands(groups, fused),
               [&](graph_maker & maker, const values & of) {
                   ffn.gate = expert_stack(of, 2, 0.5f);
                   ffn.up   = fused ? expert_matrices() : expert_stack(of, 5, 0.5f);
                   ffn.down = expert_stack(of, fused ? 5 : 8, 0.5f);
                   output   = train_experts(maker.tape, of[0], of[1], ffn, routing_in(maker, groups));
                   return output.sum;
               },
               [&](const std::vector<numbers> & of) { return experts_output(of, groups, fused); },
               [&](graph_maker & maker, const values & of) {
                   for (size_t first = 2; first < of.size(); first += 3) {
                       add_stack_gradient(maker.tape, of[first + 1], output, &expert_matrices::lora_a, &used_adapter::a, 3);
                       add_stack_gradient(maker.tape, of[first + 2], output, &expert_matrices::lora_b, &used_adapter::b, 3);
                   }
               } });
}

// Of those that are used only expert 1 has an adapter, the first of a stack of two: nothing of the others is trained.
void chosen_experts_only() {
    const expert_groups groups(chosen, used, experts);
    train_devices();
    train_tape         tape(train_devices()[0], 2048);
    train_tensors      tensors(train_devices()[0], 16);
    expert_ffn         ffn;
    expert_matrices * const all[] = { &ffn.gate, &ffn.up, &ffn.down };
    for (expert_matrices * matrices : all) {
        const int64_t n_in = matrices == &ffn.down ? ff : embd, n_out = matrices == &ffn.down ? embd : ff;
        *matrices = { tensors.make(GGML_TYPE_F32, n_in, n_out, experts), tensors.make(GGML_TYPE_F32, n_in, rank, 2), tensors.make(GGML_TYPE_F32, rank, n_out, 2) };
        matrices->places = { -1, 0, -1, 1, -1 };
    }
    const routing_inputs routing(tape, groups);
    const expert_output  output = train_experts(tape, train_value(tape.input(GGML_TYPE_F32, embd, tokens)), train_value(tape.input(GGML_TYPE_F32, 1, 11)), ffn, routing);
    CHECK_EQUAL(output.adapters.size(), 3u);
    for (const used_adapter & used : output.adapters) {
        CHECK_EQUAL(used.expert, 1);
        CHECK(tape.gradient(used.a) == nullptr);
    }
    tape.add_gradient(output.sum, tape.input(GGML_TYPE_F32, embd, tokens));
    tape.backward();
    for (const used_adapter & used : output.adapters) {
        CHECK(tape.gradient(used.a) != nullptr && tape.gradient(used.b) != nullptr);
    }
}

}  // namespace

int main() {
    groups_are_sorted_by_expert();
    weights_of_the_router(false);
    weights_of_the_router(true);
    weights_of_sigmoids();
    shares_of_scores();
    only_the_best_groups_are_chosen_from();
    losses_of_the_router();
    for (const bool fused : { false, true }) {
        experts_with_adapters(chosen, fused);
        experts_with_adapters({ 0, 1, 4, 2, 2, 0, 1, 0, 2, 4, 4, 0, 0, 4 }, fused);  // every token has two
    }
    chosen_experts_only();
    report_ops();
    return check_result();
}
