// Gradients of rotary positions and of attention with grouped heads over packed sequences.
#include "train-check.h"
#include "train/graph/ops-attention.h"

#include <numeric>

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

constexpr size_t head = 8, heads = 4, kv_heads = 2, head_v = 6;

void rope(int mode, size_t dimensions) {
    const std::vector<int32_t> positions{ 0, 1, 2, 0, 40 };
    check_op({ "rope", { { head, 3, 5 } },
               [&](graph_maker & maker, const values & of) {
                   rope_settings settings;
                   settings.dimensions = int(dimensions);
                   settings.mode       = mode;
                   settings.base       = 100;
                   return train_rope(maker.tape, of[0], maker.ids(positions, 5), settings);
               },
               [&](const std::vector<numbers> & of) {
                   numbers y = of[0];
                   for (size_t row = 0; row < 15; row++) {  // [token][head]
                       for (size_t pair = 0; pair < dimensions / 2; pair++) {
                           const size_t a     = row * head + (mode == GGML_ROPE_TYPE_NEOX ? pair : 2 * pair);
                           const size_t b     = mode == GGML_ROPE_TYPE_NEOX ? a + dimensions / 2 : a + 1;
                           const double angle = positions[row / 3] * std::pow(100.0, -2.0 * double(pair) / double(dimensions));
                           y[a]               = of[0][a] * std::cos(angle) - of[0][b] * std::sin(angle);
                           y[b]               = of[0][a] * std::sin(angle) + of[0][b] * std::cos(angle);
                       }
                   }
                   return y;
               } });
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

// one span for all with a block-diagonal mask, or a span for each sequence
void packed_sequences(const std::vector<int64_t> & lengths, bool one_span) {
    const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t(0));
    check_op({ "attention", { { head, heads, tokens }, { head, kv_heads, tokens }, { head_v, kv_heads, tokens } },
               [&](graph_maker & maker, const values & of) {
                   std::vector<attention_span> spans;
                   if (one_span) {
                       spans.push_back({ tokens, maker.floats(causal_mask(lengths), tokens, tokens) });
                   }
                   for (const int64_t length : one_span ? std::vector<int64_t>() : lengths) {
                       spans.push_back({ length, maker.floats(causal_mask({ length }), length, length) });
                   }
                   return train_attention(maker.tape, of[0], of[1], of[2], spans, 0.35f);
               },
               [&](const std::vector<numbers> & of) { return attention(of, lengths, double(0.35f)); } });
}

}  // namespace

int main() {
    for (const size_t dimensions : { head, head / 2 }) {
        rope(GGML_ROPE_TYPE_NORMAL, dimensions);
        rope(GGML_ROPE_TYPE_NEOX, dimensions);
    }
    packed_sequences({ 5 }, true);
    packed_sequences({ 3, 1, 4 }, true);
    packed_sequences({ 3, 1, 4 }, false);
    report_ops();
    return check_result();
}
