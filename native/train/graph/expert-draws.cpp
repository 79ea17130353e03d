#include "expert-draws.h"

#include "counter-random.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

// Probabilities of a token's next draw: of experts that are left and in reach, 0 of others.
class next_draw {
  public:
    next_draw(const float * logits, const std::vector<bool> & taken, double reach) : shares(taken.size(), 0.0) {
        for (size_t i = 0; i < taken.size(); i++) {
            if (!taken[i] && (best == taken.size() || logits[i] > logits[best])) {
                best = i;
            }
        }
        const double most = double(logits[best]);
        for (size_t i = 0; i < taken.size(); i++) {
            const double z = double(logits[i]);
            shares[i]      = !taken[i] && most - z <= 2 * reach * std::max(std::fabs(z), most) ? std::exp(z - most) : 0;
        }
        shares[best] = 1;  // whatever its sign
        double sum   = 0;
        for (const double share : shares) {
            sum += share;
        }
        for (double & share : shares) {
            share /= sum;
        }
    }

    // random: [0, 1)
    size_t at(double random) const {
        for (size_t i = 0; i < shares.size(); i++) {
            random -= shares[i];
            if (random < 0) {
                return i;
            }
        }
        return best;  // the sum was rounded down
    }

    std::vector<double> shares;  // [experts]
    size_t              best = shares.size();
};

// By how much a kind's two parts of the gradient are multiplied: a coin shows each in half of the cases (README, "Routers").
float path_factor(draw_kind kind) {
    return kind == draw_kind::best ? 1.0f : kind == draw_kind::whole ? 2.0f : 0.0f;
}

float slope_factor(draw_kind kind) {
    return kind == draw_kind::best ? 1.0f : kind == draw_kind::half ? 2.0f : 0.0f;
}

}  // namespace

expert_draws draw_experts(const std::vector<float> & logits, int64_t experts, int64_t k, double reach, uint64_t stream) {
    expert_draws made;
    made.slopes.assign(logits.size(), 0.0f);
    for (size_t token = 0; token * size_t(experts) < logits.size(); token++) {
        const float * const row      = logits.data() + token * size_t(experts);
        float * const       slopes   = made.slopes.data() + token * size_t(experts);
        const uint64_t      of_token = random_bits(stream + uint64_t(token));
        std::vector<bool>   taken(size_t(experts), false);
        bool                is_best = true;
        for (int64_t i = 0; i < k; i++) {
            const next_draw next(row, taken, reach);
            const size_t    drawn = next.at(random_unit(of_token + uint64_t(i)));
            for (size_t e = 0; e < taken.size(); e++) {
                slopes[e] += float((e == drawn ? 1.0 : 0.0) - next.shares[e]);
            }
            is_best      = is_best && drawn == next.best;
            taken[drawn] = true;
            made.ids.push_back(int32_t(drawn));
        }
        made.kinds.push_back(is_best ? draw_kind::best : random_unit(of_token + uint64_t(k)) < 0.5 ? draw_kind::half : draw_kind::whole);
    }
    return made;
}

draw_inputs::draw_inputs(train_tape & tape, int64_t assignments, int64_t tokens, int64_t experts)
    : shares(tape.input(GGML_TYPE_F32, 1, assignments)), paths(tape.input(GGML_TYPE_F32, 1, assignments)), slopes(tape.input(GGML_TYPE_F32, experts, tokens)) {}

void draw_inputs::fill(const expert_draws & draws, const expert_groups & groups, const routing_inputs::writer & write) const {
    std::vector<float> share, path, slope = draws.slopes;
    for (const int32_t token : groups.token) {
        const draw_kind kind = draws.kinds[size_t(token)];
        share.push_back(kind == draw_kind::half ? 0.5f : 1.0f);
        path.push_back(path_factor(kind));
    }
    for (size_t i = 0; i < slope.size(); i++) {
        slope[i] *= slope_factor(draws.kinds[i / size_t(groups.experts)]);
    }
    write(shares, share.data());
    write(paths, path.data());
    write(slopes, slope.data());
}

}  // namespace moebius
