// Routers that learn from the choice itself: SparseMixer's gradient against that of the expected loss, Default-MoE's against differences, drawn numbers of experts, and runs of each.
#include "expert-stacks.h"
#include "small-routing.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-router.h"
#include "train/graph/ops-softmax.h"
#include "train/graph/tape-job.h"

#include <cmath>
#include <cstdio>
#include <numeric>

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

// A loss of one routing node in double precision: a token's experts give numbers, weighed and added up to y, and (y - 3)^2 / 2 is to be small.
struct small_loss {
    numbers logits, outputs;  // [experts]
    size_t  used       = 1;
    bool    normalised = false;
    double  reach      = 1;

    static double of(double y) { return 0.5 * (y - 3) * (y - 3); }

    numbers shares(const numbers & z, const std::vector<size_t> & taken) const {
        size_t best = z.size();
        for (size_t i = 0; i < z.size(); i++) {
            best = std::count(taken.begin(), taken.end(), i) == 0 && (best == z.size() || logits[i] > logits[best]) ? i : best;
        }
        numbers made;
        for (size_t i = 0; i < z.size(); i++) {
            const bool in_reach = logits[best] - logits[i] <= 2 * reach * std::max(std::fabs(logits[i]), logits[best]);
            made.push_back(std::count(taken.begin(), taken.end(), i) == 0 && in_reach ? std::exp(z[i]) : 0);
        }
        const double sum = std::accumulate(made.begin(), made.end(), 0.0);
        std::for_each(made.begin(), made.end(), [sum](double & share) { share /= sum; });
        return made;
    }

    double output(const numbers & z, const std::vector<size_t> & draws) const {
        double all = 0, sum = 0, y = 0;
        for (const double each : z) {
            all += std::exp(each);
        }
        for (const size_t e : draws) {
            sum += std::exp(z[e]);
            y += std::exp(z[e]) * outputs[e];
        }
        return y / (normalised ? sum : all);
    }

    // Calls visit with all draws of probability above 0, in order, with that, and whether each was the best.
    template <typename Visit> void each_draw(const numbers & z, const Visit & visit, std::vector<size_t> draws = {}, double probability = 1, bool is_best = true) const {
        if (draws.size() == used) {
            return visit(draws, probability, is_best);
        }
        const numbers next = shares(z, draws);
        const size_t  best = size_t(std::max_element(next.begin(), next.end()) - next.begin());
        for (size_t e = 0; e < z.size(); e++) {
            if (next[e] > 0) {
                std::vector<size_t> more = draws;
                more.push_back(e);
                each_draw(z, visit, more, probability * next[e], is_best && e == best);
            }
        }
    }

    double expected(const numbers & z) const {
        double sum = 0;
        each_draw(z, [&](const std::vector<size_t> & draws, double probability, bool) { sum += probability * of(output(z, draws)); });
        return sum;
    }

    // The expected loss as the estimator sees it: draws that are all the best ones count for the choice by their slope at the whole output, not at half of it.
    double estimated(const numbers & z) const {
        double sum = expected(z);
        each_draw(z, [&](const std::vector<size_t> & draws, double probability, bool is_best) {
            const double y = output(logits, draws);
            sum += is_best ? probability * ((y - 3) * y - (of(y) - of(0))) : 0;
        });
        return sum;
    }

    template <typename Of> numbers slope(const Of & loss) const {
        numbers made;
        for (size_t i = 0; i < logits.size(); i++) {
            numbers up = logits, down = logits;
            up[i] += 1e-5;
            down[i] -= 1e-5;
            made.push_back((loss(up) - loss(down)) / 2e-5);
        }
        return made;
    }
};

constexpr int64_t drawn_tokens = 40000;

// What a tape makes of that loss, of many tokens which draw each for themselves: gradients of the logits [tokens][experts]. of_draws: sparse-mixer's, else of the weights alone.
std::vector<float> tape_gradients(const small_loss & loss, bool of_draws) {
    const int64_t      count = int64_t(loss.logits.size());
    std::vector<float> logits;
    for (int64_t i = 0; i < drawn_tokens; i++) {
        logits.insert(logits.end(), loss.logits.begin(), loss.logits.end());
    }
    const expert_draws  draws = draw_experts(logits, count, int64_t(loss.used), loss.reach, 11);
    const expert_groups groups(draws.ids, int64_t(loss.used), count);
    tape_job            what(train_devices()[0], 512);
    train_runner        runner(train_devices()[0], 1);
    const routing_inputs routing(what.tape, groups);
    routing.fill(groups, what.writer());
    const draw_inputs drawn(what.tape, int64_t(groups.token.size()), drawn_tokens, count);
    drawn.fill(draws, groups, what.writer());
    std::vector<float> outputs;
    for (const int32_t at : groups.at) {
        outputs.push_back(float(loss.outputs[size_t(at % count)]));
    }
    const train_value z       = what.tape.variable(what.floats(logits, count, drawn_tokens));
    const train_value all     = train_router_weights(what.tape, train_softmax(what.tape, z), routing, loss.normalised);
    const train_value weights = of_draws ? train_drawn_weights(what.tape, all, z, routing, drawn) : all;
    const train_value y       = train_combine(what.tape, train_mul(what.tape, weights, train_value(what.floats(outputs, 1, int64_t(outputs.size())))), routing.tokens);
    const train_value error   = train_add(what.tape, y, train_value(what.floats({ -3.0f }, 1)));
    what.tape.add_gradient(train_sum(what.tape, train_mul(what.tape, error, error)), what.floats({ 0.5f }, 1));
    what.tape.backward();
    what.tape.keep(what.tape.gradient(z));
    what.run(runner);
    const float_rows found = train_runner::read(what.tape.gradient(z));
    return { found.begin(), found.end() };
}

struct mean_gradient {
    numbers mean, error;  // [experts] of the mean: one standard deviation
};

mean_gradient mean_of(const std::vector<float> & gradients, size_t count) {
    mean_gradient made{ numbers(count, 0.0), numbers(count, 0.0) };
    for (size_t i = 0; i < gradients.size(); i++) {
        made.mean[i % count] += double(gradients[i]) / double(drawn_tokens);
    }
    for (size_t i = 0; i < gradients.size(); i++) {
        const double off = double(gradients[i]) - made.mean[i % count];
        made.error[i % count] += off * off / double(drawn_tokens) / double(drawn_tokens);
    }
    std::for_each(made.error.begin(), made.error.end(), [](double & error) { error = std::sqrt(error); });
    return made;
}

// Over many draws SparseMixer's gradient is that of the expected loss, but for what draws of the best ones are off, which is known here; that of the weights alone is another one.
void draws_give_the_gradient_of_the_expected_loss(const char * name, const small_loss & loss) {
    const mean_gradient found = mean_of(tape_gradients(loss, true), loss.logits.size()), plain = mean_of(tape_gradients(loss, false), loss.logits.size());
    const numbers       expected = loss.slope([&](const numbers & z) { return loss.expected(z); }), estimated = loss.slope([&](const numbers & z) { return loss.estimated(z); });
    double              most = 0, of_plain = 0, of_best = 0, length = 0;
    for (size_t i = 0; i < expected.size(); i++) {
        CHECK_NEAR(found.mean[i], estimated[i], 5 * found.error[i] + 1e-6);  // beyond 5 standard deviations once in two million
        most     = std::max(most, std::fabs(found.mean[i] - expected[i]));
        of_best  = std::max(of_best, std::fabs(estimated[i] - expected[i]));
        of_plain = std::max(of_plain, std::fabs(plain.mean[i] - expected[i]));
        length   = std::max(length, std::fabs(expected[i]));
    }
    std::fprintf(stderr, "%s: of a gradient of %.4f the mean of %lld draws is off by %.4f (%.4f by its expectation), of the weights alone by %.4f\n", name, length, (long long) drawn_tokens, most,
                 of_best, of_plain);
    CHECK(most < of_plain);
}

void sparse_mixer_estimates() {
    const numbers logits{ 0.9, 0.2, -0.4, 0.5 }, outputs{ 1.2, -0.7, 0.4, 2.0 };
    draws_give_the_gradient_of_the_expected_loss("one of four", { logits, outputs, 1, false, 1 });
    draws_give_the_gradient_of_the_expected_loss("two of four", { logits, outputs, 2, false, 1 });
    draws_give_the_gradient_of_the_expected_loss("two of four, normalised", { logits, outputs, 2, true, 1 });
    draws_give_the_gradient_of_the_expected_loss("two of four in reach", { { 0.9, 0.88, -0.4, 0.885 }, outputs, 2, false, 0.02 });
}

void draws_are_functions_of_stream_and_token() {
    const std::vector<float> logits{ 1, 0.99f, 0.2f, -3, -1, -1.001f, -1.3f, -1.01f };  // two tokens of four experts
    const expert_draws       best = draw_experts(logits, 4, 2, 0, 5);
    CHECK(best.ids == std::vector<int32_t>({ 0, 1, 0, 1 }));
    CHECK(best.kinds == std::vector<draw_kind>(2, draw_kind::best) && best.slopes == std::vector<float>(8, 0.0f));
    std::vector<int> seen(8, 0);
    for (uint64_t stream = 0; stream < 400; stream++) {
        const expert_draws draws = draw_experts(logits, 4, 2, 0.01, stream);
        CHECK(draws.ids == draw_experts(logits, 4, 2, 0.01, stream).ids && draws.kinds == draw_experts(logits, 4, 2, 0.01, stream).kinds);
        for (size_t i = 0; i < 4; i++) {
            seen[i / 2 * 4 + size_t(draws.ids[i])]++;
        }
        CHECK(draws.ids[0] != draws.ids[1] && draws.ids[2] != draws.ids[3]);
        const bool is_best = draws.ids[2] == 0 && draws.ids[3] == 1;
        CHECK(is_best == (draws.kinds[1] == draw_kind::best));
    }
    CHECK(seen[0] == 400 && seen[1] == 400);  // nobody else is in reach of what is left
    CHECK(seen[4] > 150 && seen[5] > 150 && seen[7] > 150 && seen[6] == 0);
}

// Of experts that were not chosen, from logits [token][experts]
numbers unchosen_weights(const numbers & logits, const expert_groups & groups, bool normalised) {
    numbers y;
    for (size_t t = 0; t < tokens; t++) {
        double all = 0, picked = 0;
        for (size_t e = 0; e < experts; e++) {
            all += std::exp(logits[t * experts + e]);
            picked += groups.chosen[t * experts + e] != 0 ? std::exp(logits[t * experts + e]) : 0;
        }
        for (size_t e = 0; e < experts; e++) {
            const size_t at = t * experts + e;
            y.push_back(groups.chosen[at] != 0 ? 0 : 1.5 * std::exp(logits[at]) / (normalised ? std::max(picked, all * 6.103515625e-5) : all));
        }
    }
    return y;
}

void weights_of_the_others(bool normalised) {
    const std::vector<int32_t> each_two{ 0, 1, 4, 2, 2, 0, 1, 0, 2, 4, 4, 0, 0, 4 };
    const expert_groups        groups(normalised ? each_two : chosen, used, experts);
    check_op({ normalised ? "normalised weights of the others" : "weights of the others", { { int64_t(experts), int64_t(tokens), 1, true, GGML_TYPE_F32, 2 } },
               [&](graph_maker & maker, const values & of) {
                   return train_unchosen_weights(maker.tape, train_softmax(maker.tape, of[0]), routing_in(maker, groups), normalised, 1.5f);
               },
               [&](const std::vector<numbers> & of) { return unchosen_weights(of[0], groups, normalised); } });
}

// An expert's matrix with its adapter times x; w: [e][n_out][n_in], a: [e][rank][n_in], b: [e][n_out][rank], from operand `first` on.
numbers through_expert(const std::vector<numbers> & of, size_t first, size_t e, const numbers & x, size_t n_out) {
    numbers y(n_out, 0.0);
    for (size_t o = 0; o < n_out; o++) {
        for (size_t i = 0; i < x.size(); i++) {
            double w = of[first][(e * n_out + o) * x.size() + i];
            for (size_t r = 0; r < rank; r++) {
                w += 0.5 * of[first + 2][(e * n_out + o) * rank + r] * of[first + 1][(e * rank + r) * x.size() + i];
            }
            y[o] += w * x[i];
        }
    }
    return y;
}

// What experts give, added up by expert and not weighed.
void outputs_by_expert() {
    const expert_groups  groups(chosen, used, experts);
    std::vector<operand> operands{ { int64_t(embd), int64_t(tokens), 1, false }, { 1, int64_t(groups.token.size()), 1, false } };
    for (const auto & [n_in, n_out] : { std::pair(embd, ff), std::pair(embd, ff), std::pair(ff, embd) }) {
        operands.push_back({ int64_t(n_in), int64_t(n_out), int64_t(experts), false });
        operands.push_back({ int64_t(n_in), int64_t(rank), int64_t(experts), false });
        operands.push_back({ int64_t(rank), int64_t(n_out), int64_t(experts), false });
    }
    operands.push_back({ int64_t(embd) });  // added: check_op wants the gradient of something
    expert_ffn ffn;
    check_op({ "outputs by expert", operands,
               [&](graph_maker & maker, const values & of) {
                   ffn = { expert_stack(of, 2, 0.5f), expert_stack(of, 5, 0.5f), expert_stack(of, 8, 0.5f) };
                   return train_add(maker.tape, train_value(train_experts(maker.tape, of[0], of[1], ffn, routing_in(maker, groups), true).by_expert), of[11]);
               },
               [&](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t g = 0; g < groups.groups.size(); g++) {
                       y.insert(y.end(), of[11].begin(), of[11].end());
                   }
                   for (size_t g = 0; g < groups.groups.size(); g++) {
                       const expert_groups::group & group = groups.groups[g];
                       for (size_t at = size_t(group.begin); at < size_t(group.begin + group.count); at++) {
                           const auto    x    = of[0].begin() + ptrdiff_t(size_t(groups.token[at]) * embd);
                           numbers       gate = through_expert(of, 2, size_t(group.expert), numbers(x, x + embd), ff);
                           const numbers up   = through_expert(of, 5, size_t(group.expert), numbers(x, x + embd), ff);
                           for (size_t i = 0; i < ff; i++) {
                               gate[i] *= up[i] / (1 + std::exp(-gate[i]));
                           }
                           const numbers down = through_expert(of, 8, size_t(group.expert), gate, embd);
                           for (size_t i = 0; i < embd; i++) {
                               y[g * embd + i] += down[i];
                           }
                       }
                   }
                   return y;
               } });
}

}  // namespace

int main() {
    draws_are_functions_of_stream_and_token();
    sparse_mixer_estimates();
    weights_of_the_others(false);
    weights_of_the_others(true);
    outputs_by_expert();
    report_ops();
    return check_result();
}
