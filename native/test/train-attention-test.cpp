// Gradients of rotary positions and of attention with grouped heads over packed sequences.
#include "train-check.h"
#include "train/graph/ops-attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

constexpr size_t head = 8, heads = 4, kv_heads = 2, head_v = 6;

// The angle of a position as YaRN has it (arXiv 2309.00071, eq. 19 to 23): between interpolated and not, by how often a pair turns in the original context.
double yarn_angle(const rope_settings & s, double position, size_t pair) {
    const double turns_once = double(s.dimensions) / (2 * std::log(double(s.base)));
    const auto   pair_of    = [&](double turns) { return turns_once * std::log(double(s.context_length) / (turns * 2 * 3.14159265358979323846)); };
    const double low = std::max(0.0, std::floor(pair_of(double(s.beta_fast)))), high = std::min(double(s.dimensions - 1), std::ceil(pair_of(double(s.beta_slow))));
    const double ramp  = std::min(1.0, std::max(0.0, (double(pair) - low) / std::max(0.001, high - low)));
    const double whole = position * std::pow(double(s.base), -2.0 * double(pair) / double(s.dimensions));
    const double kept  = double(s.extension) * (1 - ramp);
    return whole * (double(s.scale) * (1 - kept) + kept);
}

void rope(rope_settings settings, const std::vector<float> & factors = {}) {
    const std::vector<int32_t> positions{ 0, 1, 2, 0, 40 };
    check_op({ "rope", { { head, 3, 5 } },
               [&](graph_maker & maker, const values & of) {
                   settings.factors = factors.empty() ? nullptr : maker.floats(factors, int64_t(factors.size()));
                   return train_rope(maker.tape, of[0], maker.ids(positions, 5), settings);
               },
               [&](const std::vector<numbers> & of) {
                   numbers      y    = of[0];
                   const size_t half = size_t(settings.dimensions) / 2, offset = size_t(settings.offset);
                   const double grown = double(settings.attention) * (settings.extension != 0 ? 1 + 0.1 * std::log(1 / double(settings.scale)) : 1);
                   for (size_t row = 0; row < 15; row++) {  // [token][head]
                       for (size_t pair = 0; pair < half; pair++) {
                           const size_t a     = row * head + offset + (settings.mode == GGML_ROPE_TYPE_NEOX ? pair : 2 * pair);
                           const size_t b     = settings.mode == GGML_ROPE_TYPE_NEOX ? a + half : a + 1;
                           const double angle = yarn_angle(settings, positions[row / 3], pair) / (factors.empty() ? 1 : double(factors[pair]));
                           y[a]               = grown * (of[0][a] * std::cos(angle) - of[0][b] * std::sin(angle));
                           y[b]               = grown * (of[0][a] * std::sin(angle) + of[0][b] * std::cos(angle));
                       }
                   }
                   return y;
               } });
}

void ropes(int mode) {
    rope_settings settings;
    settings.mode       = mode;
    settings.base       = 100;
    settings.dimensions = head;
    rope(settings);
    rope(settings, { 1, 1.5f, 3, 0.5f });
    settings.context_length = 64;
    settings.scale          = 0.25f;
    settings.attention      = 1.2f;
    rope(settings);
    settings.extension = 1;
    settings.beta_fast = 8;  // with which one pair is kept, one interpolated and two in between
    rope(settings);
    settings.dimensions = head / 2;
    rope(settings);
    settings.offset = head / 2;
    rope(settings);
}

// q: [token][heads][head] ..., sequences of these lengths
numbers attention(const std::vector<numbers> & of, const std::vector<int64_t> & lengths, double scale) {
    const numbers &q = of[0], &k = of[1], &v = of[2];
    numbers        y;
    size_t         begin = 0;
    for (const int64_t length : lengths) {
        for (size_t t = begin; t < begin + size_t(length); t++) {
            for (size_t h = 0; h < heads; h++) {
                const size_t group = h / (heads / kv_heads);
                numbers      out(head_v, 0.0);
                double       sum = 0;
                for (size_t s = begin; s <= t; s++) {
                    double score = 0;
                    for (size_t i = 0; i < head; i++) {
                        score += q[(t * heads + h) * head + i] * k[(s * kv_heads + group) * head + i];
                    }
                    const double share = std::exp(scale * score);
                    sum += share;
                    for (size_t i = 0; i < head_v; i++) {
                        out[i] += share * v[(s * kv_heads + group) * head_v + i];
                    }
                }
                for (const double value : out) {
                    y.push_back(value / sum);
                }
            }
        }
        begin += size_t(length);
    }
    return y;
}

void packed_sequences(const std::vector<int64_t> & lengths) {
    const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t(0));
    check_op({ "attention", { { head, heads, tokens }, { head, kv_heads, tokens }, { head_v, kv_heads, tokens } },
               [&](graph_maker & maker, const values & of) {
                   std::vector<attention_span> spans;
                   for (const int64_t length : lengths) {
                       spans.push_back({ length, maker.floats(causal_mask(length), length, length) });
                   }
                   return train_attention(maker.tape, of[0], of[1], of[2], spans, 0.35f);
               },
               [&](const std::vector<numbers> & of) { return attention(of, lengths, double(0.35f)); } });
}

}  // namespace

int main() {
    ropes(GGML_ROPE_TYPE_NORMAL);
    ropes(GGML_ROPE_TYPE_NEOX);
    packed_sequences({ 5 });
    packed_sequences({ 3, 1, 4 });
    packed_sequences({ 70, 2 });  // more than a block of queries
    report_ops();
    return check_result();
}
