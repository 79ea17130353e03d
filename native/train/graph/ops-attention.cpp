#include "ops-attention.h"

#include "cpu-attention.h"
#include "nodes.h"
#include "ops-elementwise.h"
#include "ops-rows.h"
#include "ops-softmax.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

// [d, heads, tokens] -> [d, tokens, heads], a view
ggml_tensor * by_head(train_tape & tape, ggml_tensor * x) {
    return ggml_permute(tape.context(), x, 0, 2, 1, 3);
}

// [d, groups * heads, tokens] -> [tokens * groups, d, heads]: what to sum over first, the query heads of a KV head included
ggml_tensor * for_sum(train_tape & tape, ggml_tensor * x, int64_t heads) {
    ggml_context * context = tape.context();
    const int64_t  d = x->ne[0], groups = x->ne[1] / heads, tokens = x->ne[2];
    ggml_tensor *  split = ggml_permute(context, ggml_reshape_4d(context, x, d, groups, heads, tokens), 2, 1, 3, 0);
    return tape.emit(ggml_reshape_3d(context, ggml_cont(context, split), tokens * groups, d, heads));
}

// The same of scores: [seen, tokens, groups * heads] -> [tokens * groups, seen, heads]
ggml_tensor * scores_for_sum(train_tape & tape, ggml_tensor * scores, int64_t heads) {
    ggml_context * context = tape.context();
    const int64_t  seen = scores->ne[0], tokens = scores->ne[1], groups = scores->ne[2] / heads;
    ggml_tensor *  split = ggml_permute(context, ggml_reshape_4d(context, scores, seen, tokens, groups, heads), 2, 0, 1, 3);
    return tape.emit(ggml_reshape_3d(context, ggml_cont(context, split), tokens * groups, seen, heads));
}

// q k: [d, heads, tokens], [d, kv heads, tokens] -> [seen, tokens, heads]
train_value scores_of(train_tape & tape, const train_value & q, const train_value & k) {
    return tape.record(product(tape, by_head(tape, k.tensor), by_head(tape, q.tensor)), { q, k }, [&tape, q, k](ggml_tensor * gradient) {
        ggml_context * context = tape.context();
        if (q.wanted()) {
            ggml_tensor * keys = ggml_cont(context, ggml_permute(context, k.tensor, 1, 2, 0, 3));  // [seen, d, kv heads]
            tape.add_gradient(q, ggml_cont(context, by_head(tape, product(tape, keys, gradient))));
        }
        if (k.wanted()) {
            const int64_t heads = k.tensor->ne[1];
            tape.add_gradient(k, ggml_cont(context, by_head(tape, product(tape, for_sum(tape, q.tensor, heads), scores_for_sum(tape, gradient, heads)))));
        }
    });
}

// p v: [seen, tokens, heads], [dv, kv heads, tokens] -> [dv, heads, tokens]
train_value weighted_values(train_tape & tape, const train_value & p, const train_value & v) {
    ggml_context * context = tape.context();
    ggml_tensor *  values  = ggml_cont(context, ggml_permute(context, v.tensor, 1, 2, 0, 3));  // [seen, dv, kv heads]
    ggml_tensor *  output  = ggml_cont(context, by_head(tape, product(tape, values, p.tensor)));
    return tape.record(output, { p, v }, [&tape, p, v](ggml_tensor * gradient) {
        if (p.wanted()) {
            tape.add_gradient(p, product(tape, by_head(tape, v.tensor), by_head(tape, gradient)));
        }
        if (v.wanted()) {
            const int64_t heads = v.tensor->ne[1];
            tape.add_gradient(v, ggml_cont(tape.context(), by_head(tape, product(tape, for_sum(tape, gradient, heads), scores_for_sum(tape, p.tensor, heads)))));
        }
    });
}

// The spans of [d, heads, tokens]
std::vector<train_value> spans_of(train_tape & tape, const train_value & x, const std::vector<attention_span> & spans) {
    const int64_t        d = x.tensor->ne[0], heads = x.tensor->ne[1];
    std::vector<int64_t> counts;
    for (const attention_span & span : spans) {
        counts.push_back(span.tokens);
    }
    std::vector<train_value> parts = train_split(tape, train_reshape(tape, x, d * heads, x.tensor->ne[2]), counts);
    for (train_value & part : parts) {
        part = train_reshape(tape, part, d, heads, part.tensor->ne[1]);
    }
    return parts;
}

}  // namespace

train_value train_rope(train_tape & tape, const train_value & x, ggml_tensor * positions, const rope_settings & s) {
    ggml_tensor * turned = ggml_rope_ext(tape.context(), x.tensor, positions, s.factors, s.dimensions, s.mode, s.context_length, s.base, s.scale, s.extension, s.attention,
                                         s.beta_fast, s.beta_slow);
    return tape.record(ggml_rope_set_offset(turned, s.offset), { x }, [&tape, x, positions, s](ggml_tensor * gradient) {
        ggml_tensor * back = ggml_rope_ext_back(tape.context(), gradient, positions, s.factors, s.dimensions, s.mode, s.context_length, s.base, s.scale, s.extension,
                                                s.attention, s.beta_fast, s.beta_slow);
        tape.add_gradient(x, ggml_rope_set_offset(back, s.offset));
    });
}

train_value train_attention(train_tape & tape, const train_value & q, const train_value & k, const train_value & v, const std::vector<attention_span> & spans, float scale) {
    if (tape.on_cpu()) {
        return attention_on_cpu(tape, q, k, v, spans, scale);
    }
    const auto               queries = spans_of(tape, q, spans), keys = spans_of(tape, k, spans), values = spans_of(tape, v, spans);
    const int64_t            d = v.tensor->ne[0], heads = q.tensor->ne[1];
    std::vector<train_value> outputs;
    for (size_t i = 0; i < spans.size(); i++) {
        const train_value p = train_softmax(tape, scores_of(tape, queries[i], keys[i]), spans[i].mask, scale);
        outputs.push_back(train_reshape(tape, weighted_values(tape, p, values[i]), d * heads, spans[i].tokens));
    }
    return train_reshape(tape, train_join(tape, outputs), d, heads, q.tensor->ne[2]);
}

std::vector<float> causal_mask(int64_t tokens) {
    std::vector<float> mask(size_t(tokens * tokens), -INFINITY);
    for (int64_t t = 0; t < tokens; t++) {
        std::fill_n(mask.begin() + t * tokens, t + 1, 0.0f);
    }
    return mask;
}

}  // namespace moebius
