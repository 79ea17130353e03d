#include "base-sizes.h"

#include "rpc/errors.h"

namespace moebius {

namespace {

constexpr int64_t any = 0;  // of tensors that say it themselves

std::string text_of(int64_t n0, int64_t n1, int64_t n2) {
    return "[" + std::to_string(n0) + ", " + std::to_string(n1) + ", " + std::to_string(n2) + "]";
}

// tensor: of a device or a file; null: there is none.
template <typename Tensor> void expect(const Tensor * tensor, int64_t n0, int64_t n1 = 1, int64_t n2 = 1) {
    if (tensor && (tensor->ne[0] != n0 || (n1 != any && tensor->ne[1] != n1) || tensor->ne[2] != n2)) {
        throw user_error("file.corrupt",
                         "The model's tensor " + std::string(tensor->name) + " is " + text_of(tensor->ne[0], tensor->ne[1], tensor->ne[2]) + ", and its metadata ask for " +
                             text_of(n0, n1 == any ? tensor->ne[1] : n1, n2) + ". Get the file again.",
                         { { "tensor", tensor->name } });
    }
}

void check_attention(const attention_weights & of, const base_shape & shape) {
    const int64_t q = shape.heads * shape.head_k, k = shape.kv_heads * shape.head_k, v = shape.kv_heads * shape.head_v;
    const bool    all = shape.norm_of_queries == query_norm::all;
    expect(of.norm, shape.n_embd);
    expect(of.output, shape.heads * shape.head_v, shape.n_embd);
    expect(of.output_bias, shape.n_embd);
    expect(of.q, shape.n_embd, q);
    expect(of.k, shape.n_embd, k);
    expect(of.v, shape.n_embd, v);
    expect(of.q_bias, q);
    expect(of.k_bias, k);
    expect(of.v_bias, v);
    expect(of.q_norm, all ? q : shape.head_k);
    expect(of.k_norm, all ? k : shape.head_k);
}

void check_latent(const latent_weights & of, const base_shape & shape) {
    const int64_t turned = shape.rope.dimensions, straight = shape.head_k - turned;
    expect(of.q_down, shape.n_embd, any);
    expect(of.q_norm, of.q_down ? of.q_down->ne[1] : any);
    expect(of.q, of.q_down ? of.q_down->ne[1] : shape.n_embd, shape.heads * shape.head_k);
    expect(of.kv_down, shape.n_embd, shape.latent + turned);
    expect(of.kv_norm, shape.latent);
    expect(of.kv, shape.latent, shape.heads * (straight + shape.head_v));
    expect(of.k, straight, shape.latent, shape.heads);
    expect(of.v, shape.latent, shape.head_v, shape.heads);
}

// n: matrices of each
template <typename Tensor> void check_ffn(const Tensor * gate, const Tensor * up, const Tensor * down, const base_shape & shape, int64_t n) {
    if (gate) {
        const int64_t rows = gate->ne[1];
        expect(gate, shape.n_embd, up || rows % 2 == 0 ? any : rows + 1, n);  // without `up`, gate is both
        expect(up, shape.n_embd, rows, n);
        expect(down, up ? rows : rows / 2, shape.n_embd, n);
    }
}

}  // namespace

void check_layer_sizes(const layer_weights & layer, const base_shape & shape) {
    check_attention(layer.attention, shape);
    check_latent(layer.attention.latent, shape);
    expect(layer.norm, shape.n_embd);
    check_ffn<ggml_tensor>(layer.dense.gate, layer.dense.up, layer.dense.down, shape, 1);
    expect(layer.router, shape.n_embd, shape.experts);
    expect(layer.choice_bias, shape.experts);
    expect(layer.shared.weight, shape.n_embd);
    check_ffn<ggml_tensor>(layer.shared.ffn.gate, layer.shared.ffn.up, layer.shared.ffn.down, shape, 1);
}

void check_expert_sizes(const expert_tensors & experts, const base_shape & shape) {
    check_ffn(experts.gate, experts.up, experts.down, shape, shape.experts);
}

void check_outer_sizes(const base_weights & base, const base_shape & shape) {
    expect(base.embedding(), shape.n_embd, shape.vocabulary);
    expect(base.head(), shape.n_embd, shape.vocabulary);
    expect(base.norm(), shape.n_embd);
    for (const int64_t longest : { int64_t(0), int64_t(1) << 40 }) {
        expect(base.rope_factors(longest), shape.rope.dimensions / 2);
    }
}

}  // namespace moebius
