#include "cpu-attention.h"

#include "shared-work.h"
#include "train/kernels/attention.h"

#include <algorithm>

namespace moebius {

namespace {

struct attention_piece {
    int64_t begin = 0, tokens = 0;  // of a sequence
    int64_t head  = 0;
    int64_t query = 0;  // the first of a block
};

struct attention_work : shared_work<attention_piece> {
    ggml_tensor *q = nullptr, *k = nullptr, *v = nullptr;
    float        scale = 1;

    attention_work(ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, float scale) : q(q), k(k), v(v), scale(scale) {
        for (const ggml_tensor * each : { q, k, v }) {
            GGML_ASSERT(each->type == GGML_TYPE_F32 && ggml_is_contiguous(each));
        }
    }

    // What takes longest first, so that all threads end about at once.
    void deal(const std::vector<attention_span> & spans, bool by_block) {
        int64_t begin = 0;
        for (const attention_span & span : spans) {
            for (int64_t head = 0; head < q->ne[1]; head++) {
                for (int64_t query = 0; query < (by_block ? span.tokens : 1); query += attention_block) {
                    pieces.push_back({ begin, span.tokens, head, query });
                }
            }
            begin += span.tokens;
        }
        std::stable_sort(pieces.begin(), pieces.end(), [by_block](const attention_piece & a, const attention_piece & b) { return by_block ? a.query > b.query : a.tokens > b.tokens; });
    }

    attention_shape shape_of(const attention_piece & piece) const { return { piece.tokens, q->ne[1], k->ne[1], q->ne[0], v->ne[0], scale }; }

    attention_operands operands_of(const attention_piece & piece) const { return { at(q, piece.begin), at(k, piece.begin), at(v, piece.begin) }; }

    static float * at(const ggml_tensor * tensor, int64_t token) { return static_cast<float *>(tensor->data) + token * tensor->ne[0] * tensor->ne[1]; }
};

struct forward_work : attention_work {
    using attention_work::attention_work;

    void compute(ggml_tensor * result, int threads) {
        run(threads, [&](const attention_piece & piece) { compute_attention(tile_kernels_get(), shape_of(piece), operands_of(piece), piece.head, piece.query, at(result, piece.begin)); });
    }
};

// Its result has the gradients of q, and the shares of k's and v's by head of q, one behind the other.
struct backward_work : attention_work {
    using attention_work::attention_work;
    ggml_tensor * gradient = nullptr;  // [dv, heads, tokens]

    void compute(ggml_tensor * result, int threads) {
        const int64_t d = q->ne[0] * q->ne[1], dv = v->ne[0] * q->ne[1], tokens = q->ne[2];
        float * const of_q = static_cast<float *>(result->data), * const of_k = of_q + d * tokens, * const of_v = of_k + d * tokens;
        run(threads, [&](const attention_piece & piece) {
            const attention_gradients to{ of_q + piece.begin * d, of_k + piece.begin * d, of_v + piece.begin * dv };
            compute_attention_back(tile_kernels_get(), shape_of(piece), operands_of(piece), at(gradient, piece.begin), piece.head, to);
        });
    }
};

// Numbers from `offset` on as [d, heads, tokens].
ggml_tensor * part_of(train_tape & tape, ggml_tensor * all, int64_t offset, int64_t d, int64_t heads, int64_t tokens) {
    const size_t row = size_t(d) * sizeof(float);
    return ggml_view_3d(tape.context(), all, d, heads, tokens, row, row * size_t(heads), size_t(offset) * sizeof(float));
}

// [d, heads, tokens] -> [d, kv heads, tokens]: added up over the heads that share one
ggml_tensor * summed_heads(train_tape & tape, ggml_tensor * shares, int64_t kv_heads) {
    ggml_context * context = tape.context();
    const int64_t  d = shares->ne[0], group = shares->ne[1] / kv_heads, tokens = shares->ne[2];
    ggml_tensor *  sum = nullptr;
    for (int64_t i = 0; i < group; i++) {
        ggml_tensor * each = ggml_view_3d(context, shares, d, kv_heads, tokens, shares->nb[1] * size_t(group), shares->nb[2], size_t(i) * shares->nb[1]);
        sum                = sum ? ggml_add(context, sum, each) : each;
    }
    return sum;
}

}  // namespace

train_value attention_on_cpu(train_tape & tape, const train_value & q, const train_value & k, const train_value & v, const std::vector<attention_span> & spans, float scale) {
    const int64_t d = q.tensor->ne[0], dv = v.tensor->ne[0], heads = q.tensor->ne[1], tokens = q.tensor->ne[2];
    auto          forward = std::make_shared<forward_work>(q.tensor, k.tensor, v.tensor, scale);
    forward->deal(spans, true);
    ggml_tensor * const output = node_of(tape, std::move(forward), dv, heads, tokens, { q.tensor, k.tensor, v.tensor });
    return tape.record(output, { q, k, v }, [&tape, q, k, v, spans, scale, d, dv, heads, tokens](ggml_tensor * gradient) {
        auto work      = std::make_shared<backward_work>(q.tensor, k.tensor, v.tensor, scale);
        work->gradient = gradient;
        work->deal(spans, false);
        ggml_tensor * const all = node_of(tape, std::move(work), (2 * d + dv) * heads, tokens, 1, { q.tensor, k.tensor, v.tensor, gradient });
        const int64_t       kv_heads = k.tensor->ne[1], size = d * heads * tokens;
        if (q.wanted()) {
            tape.add_gradient(q, part_of(tape, all, 0, d, heads, tokens));
        }
        if (k.wanted()) {
            tape.add_gradient(k, summed_heads(tape, part_of(tape, all, size, d, heads, tokens), kv_heads));
        }
        if (v.wanted()) {
            tape.add_gradient(v, summed_heads(tape, part_of(tape, all, 2 * size, dv, heads, tokens), kv_heads));
        }
    });
}

}  // namespace moebius
