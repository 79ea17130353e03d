// Latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): keys and values of all heads from a few numbers of each token.
//
// Heads are unfolded, as in training there: llama.cpp's graph of files with halves (attn_k_b, attn_v_b) takes the few numbers themselves for keys and values, which
// saves a cache, and costs heads of latent + turned numbers in place of head_k ones. Both are the same function.
#include "layer-graph.h"

#include "train/graph/nodes.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-heads.h"
#include "train/graph/ops-linear.h"

namespace moebius {

head_values layer_graph::heads_of_latent(const train_value & normed, const attention_inputs & inputs) {
    const latent_weights & of     = weights.attention.latent;
    const int64_t          tokens = normed.tensor->ne[1], turned = rope.dimensions, straight = shape.head_k - turned;
    rope_settings          behind = rope;
    behind.offset                 = int(straight);
    head_values made;
    made.q = linear(of.q, of.q_down ? norm(of.q_norm, linear(of.q_down, normed)) : normed);
    made.q = train_rope(tape, train_reshape(tape, made.q, shape.head_k, shape.heads, tokens), inputs.positions, behind);
    const train_value down   = linear(of.kv_down, normed);  // [latent + turned, tokens]
    const train_value latent = norm(of.kv_norm, train_numbers(tape, down, 0, shape.latent));
    const train_value shared = train_rope(tape, train_reshape(tape, train_numbers(tape, down, shape.latent, turned), turned, 1, tokens), inputs.positions, rope);
    train_value       own;  // [straight, heads, tokens]
    if (of.kv) {
        const train_value both = train_reshape(tape, linear(of.kv, latent), straight + shape.head_v, shape.heads, tokens);
        own    = train_numbers(tape, both, 0, straight);
        made.v = train_numbers(tape, both, straight, shape.head_v);
    } else {
        own    = of_all_heads(of.k, latent, true);
        made.v = of_all_heads(of.v, latent, false);
    }
    made.k = train_with_shared(tape, own, shared);
    return made;
}

// A matrix for each head, with its adapter, times the same numbers x [n_in, tokens]. weight: [n_in, n_out, heads], or [n_out, n_in, heads] if it is
// transposed -> [n_out, heads, tokens]
train_value layer_graph::of_all_heads(ggml_tensor * weight, const train_value & x, bool is_transposed) {
    const auto upright = [&](const train_value & matrices) { return is_transposed ? train_transposed(tape, matrices) : matrices; };
    const int64_t     n_in = x.tensor->ne[0], heads = weight->ne[2], tokens = x.tensor->ne[1];
    ggml_tensor *     plain = is_transposed ? upright(train_value(dequantised(tape, weight))).tensor : weight;
    const train_value y     = train_reshape(tape, train_linear(tape, ggml_reshape_2d(tape.context(), plain, n_in, ggml_nrows(plain)), x), plain->ne[1], heads, tokens);
    const lora_tensors lora = adapters.lora_of(weight);
    if (!lora.a) {
        return y;
    }
    const train_value a = used_value(lora.a_index, lora.a), b = used_value(lora.b_index, lora.b);
    const train_value down = upright(is_transposed ? b : a), up = upright(is_transposed ? a : b);  // [n_in, r, heads], [r, n_out, heads]
    const int64_t     r     = down.tensor->ne[1];
    const train_value inner = train_linear(tape, train_reshape(tape, down, n_in, r * heads), x);
    const train_value delta = train_linear_of_heads(tape, up, train_reshape(tape, train_scale(tape, inner, lora.scale), r, heads, tokens));
    return train_add(tape, y, delta);
}

}  // namespace moebius
