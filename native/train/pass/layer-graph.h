// One layer of a MoE transformer but for its routed experts as ops of a tape: attention, router, shared expert or dense FFN, each with what is trained of it.
#pragma once

#include "train/adapter/adapter-tensors.h"
#include "train/base/base-weights.h"
#include "train/graph/routing.h"
#include "train/data/token-batch.h"

#include "dropout.h"

#include <array>

namespace moebius {

// Where a parameter was used, and as which value of the tape.
struct parameter_use {
    size_t      parameter = 0;  // of adapter::parameters
    train_value value;
};

// Their gradients: to be read; read and added to the parameters'.
void keep_gradients(train_tape & tape, const std::vector<parameter_use> & uses);
void add_up_gradients(const train_tape & tape, const std::vector<parameter_use> & uses, adapter & of);

// Inputs of attention.
struct attention_inputs {
    attention_inputs(train_tape & tape, const token_batch & batch);
    void    fill(const token_batch & batch, const routing_inputs::writer & write) const;
    int64_t longest() const;  // tokens of a sequence

    ggml_tensor *                    positions = nullptr;  // I32 [tokens]
    std::vector<attention_span>      spans;                // a sequence each
    std::vector<std::pair<int64_t, ggml_tensor *>> masks;  // by length of a sequence
};

// Queries, keys and values: [head_k, heads, tokens], [head_k, kv_heads, tokens], [head_v, kv_heads, tokens]
struct head_values {
    train_value q, k, v;
};

struct router_values {
    train_value normed;         // [n_embd, tokens], what experts get
    train_value logits;         // [experts, tokens]
    train_value probabilities;  // or sigmoids
    train_value shares;         // of each token they add up to 1: what the balance loss takes
    train_value scores;         // by which experts are chosen, which has no gradient
};

// By scores [tokens][experts] -> [tokens][used]
std::vector<int32_t> chosen_experts(const base_shape & shape, std::vector<float> scores, int64_t used);

class layer_graph {
  public:
    // trains: gradients of the adapter's parameters are wanted. All outlive the tape's use.
    layer_graph(train_tape & tape, const base_shape & shape, const base_weights & base, const adapter_tensors & adapters, int64_t layer, bool trains);

    // Adapters leave out some of their inputs. Before anything else is called.
    void drop(const dropout_stream & stream, routing_inputs::writer write) {
        dropped    = stream;
        write_mask = std::move(write);
    }

    // x [n_embd, tokens] plus attention
    train_value attention(const train_value & x, const attention_inputs & inputs);
    bool is_routed() const { return weights.router || mixture_router.tensor; }
    // x: behind attention, of a layer that is routed
    router_values router(const train_value & x);
    // x: the same of one that is not; x plus its FFN
    train_value dense(const train_value & x);
    // of assignments [1, assignments]
    train_value expert_weights(const train_value & probabilities, const routing_inputs & routing);
    // What stands for experts that were not chosen, weighed: [n_embd, tokens]. averages: F32 [experts, n_embd]
    train_value stand_ins(ggml_tensor * averages, const train_value & probabilities, const routing_inputs & routing);
    // [n_embd, tokens], what is added to the routed experts' sum; of a layer that has_shared_expert()
    train_value shared_expert(const train_value & normed);
    bool        has_shared_expert() const { return weights.shared.ffn.gate != nullptr; }

    const std::vector<parameter_use> & uses() const { return used; }

  private:
    train_value linear(ggml_tensor * weight, const train_value & x, ggml_tensor * bias = nullptr);
    train_value norm(ggml_tensor * weight, const train_value & x);
    train_value used_value(size_t parameter, ggml_tensor * tensor);
    head_values heads_of_state(const train_value & normed, const attention_inputs & inputs);
    head_values heads_of_latent(const train_value & normed, const attention_inputs & inputs);  // latent-heads.cpp
    train_value of_all_heads(ggml_tensor * weight, const train_value & x, bool is_transposed);
    train_value heads_of(ggml_tensor * weight, ggml_tensor * bias, ggml_tensor * its_norm, const train_value & x, int64_t heads, int64_t d);
    train_value swiglu(const ffn_weights & of, const train_value & normed);
    train_value residual(const train_value & x, const train_value & branch);

    train_tape &               tape;
    const base_shape &         shape;
    const base_weights &       base;
    const layer_weights &      weights;
    const adapter_tensors &    adapters;
    bool                       trains;
    rope_settings              rope;
    whole_tensor               mixture_router;
    dropout_stream             dropped;
    routing_inputs::writer     write_mask;
    std::vector<parameter_use> used;
};

}  // namespace moebius
