#include "attention.h"

#include <algorithm>

namespace moebius {

namespace {

// Of one head: token t is data + t * stride.
template <typename Number> struct head_rows {
    Number * data   = nullptr;
    int64_t  stride = 0;

    head_rows(Number * of_all, int64_t heads, int64_t d, int64_t head) : data(of_all + head * d), stride(heads * d) {}

    Number *     at(int64_t token) const { return data + token * stride; }
    left_factor  left(int64_t token) const { return { at(token), stride, 1, 1 }; }
    right_factor right(bool by_k) const { return { data, GGML_TYPE_F32, size_t(stride) * sizeof(float), by_k }; }
};

void multiply(const tile_kernels & kernels, const product_term & term, float * c, int64_t c_stride, int64_t m, int64_t n, bool adds = false) {
    for (int64_t begin = 0; begin < n; begin += product_columns) {
        compute_product(kernels, { term }, c, c_stride, { 0, m, begin, std::min(n, begin + product_columns) }, adds);
    }
}

// Numbers [queries][keys] of queries [begin, begin + queries) and all keys that some of them sees.
struct score_block {
    int64_t       begin = 0, queries = 0, keys = 0;
    float * const values;

    score_block(const attention_shape & shape, int64_t begin, std::vector<float> & memory)
        : begin(begin), queries(std::min(shape.tokens - begin, attention_block)), keys(begin + queries), values(room(memory, size_t(queries * keys))) {}

    float *      row(int64_t query) const { return values + query * keys; }
    left_factor  left() const { return { values, keys, 1, 1 }; }
    left_factor  transposed() const { return { values, 1, keys, 1 }; }

  private:
    static float * room(std::vector<float> & memory, size_t count) {
        memory.resize(std::max(memory.size(), count));
        return memory.data();
    }
};

// q k, then softmax of what each query sees
void fill_probabilities(const tile_kernels & kernels, const attention_shape & shape, const head_rows<const float> & q, const head_rows<const float> & k, const score_block & p) {
    multiply(kernels, { q.left(p.begin), k.right(false), shape.d }, p.values, p.keys, p.queries, p.keys);
    for (int64_t query = 0; query < p.queries; query++) {
        const int64_t seen = p.begin + query + 1;
        kernels.softmax(p.row(query), seen, shape.scale);
        std::fill(p.row(query) + seen, p.row(query) + p.keys, 0.0f);
    }
}

// A thread's own.
std::vector<float> & own_memory(int which) {
    static thread_local std::vector<float> memory[2];
    return memory[which];
}

}  // namespace

void compute_attention(const tile_kernels & kernels, const attention_shape & shape, const attention_operands & operands, int64_t head, int64_t begin, float * out) {
    const int64_t                kv_head = head / (shape.heads / shape.kv_heads);
    const head_rows<const float> q(operands.q, shape.heads, shape.d, head), k(operands.k, shape.kv_heads, shape.d, kv_head), v(operands.v, shape.kv_heads, shape.dv, kv_head);
    const head_rows<float>       y(out, shape.heads, shape.dv, head);
    const score_block            p(shape, begin, own_memory(0));
    fill_probabilities(kernels, shape, q, k, p);
    multiply(kernels, { p.left(), v.right(true), p.keys }, y.at(begin), y.stride, p.queries, shape.dv);
}

void compute_attention_back(const tile_kernels & kernels, const attention_shape & shape, const attention_operands & operands, const float * gradient, int64_t head, const attention_gradients & result) {
    const int64_t                kv_head = head / (shape.heads / shape.kv_heads);
    const head_rows<const float> q(operands.q, shape.heads, shape.d, head), k(operands.k, shape.kv_heads, shape.d, kv_head), v(operands.v, shape.kv_heads, shape.dv, kv_head);
    const head_rows<const float> dy(gradient, shape.heads, shape.dv, head);
    const head_rows<float>       dq(result.q, shape.heads, shape.d, head), dk(result.k, shape.heads, shape.d, head), dv(result.v, shape.heads, shape.dv, head);
    for (int64_t token = 0; token < shape.tokens; token++) {
        std::fill_n(dk.at(token), shape.d, 0.0f);
        std::fill_n(dv.at(token), shape.dv, 0.0f);
    }
    for (int64_t begin = 0; begin < shape.tokens; begin += attention_block) {
        const score_block p(shape, begin, own_memory(0)), d(shape, begin, own_memory(1));
        fill_probabilities(kernels, shape, q, k, p);
        multiply(kernels, { p.transposed(), { dy.at(begin), GGML_TYPE_F32, size_t(dy.stride) * sizeof(float), true }, p.queries }, dv.data, dv.stride, p.keys, shape.dv, true);
        multiply(kernels, { dy.left(begin), v.right(false), shape.dv }, d.values, d.keys, d.queries, d.keys);
        for (int64_t query = 0; query < p.queries; query++) {
            kernels.softmax_back(p.row(query), d.row(query), p.keys, shape.scale);  // 0 for what a query does not see
        }
        multiply(kernels, { d.left(), k.right(true), d.keys }, dq.at(begin), dq.stride, d.queries, shape.d);
        multiply(kernels, { d.transposed(), { q.at(begin), GGML_TYPE_F32, size_t(q.stride) * sizeof(float), true }, d.queries }, dk.data, dk.stride, d.keys, shape.d, true);
    }
}

}  // namespace moebius
