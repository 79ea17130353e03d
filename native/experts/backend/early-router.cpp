#include "early-router.h"

#include <ggml-backend.h>
#include <llama-model.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace moebius {

namespace {

const ggml_tensor * tensor_of(const llama_model * model, int32_t block, const char * name) {
    return model->get_tensor(("blk." + std::to_string(block) + "." + name).c_str());
}

// F32 values of a vector, from wherever it is; empty if it is not there or not of that shape.
std::vector<float> read_vector(const ggml_tensor * tensor, int64_t length) {
    if (!tensor || tensor->type != GGML_TYPE_F32 || ggml_nelements(tensor) != length || !ggml_is_contiguous(tensor)) {
        return {};
    }
    std::vector<float> values(static_cast<size_t>(length));
    ggml_backend_tensor_get(tensor, values.data(), 0, ggml_nbytes(tensor));
    return values;
}

}  // namespace

early_router::early_router(const expert_layout & layout, const llama_model * model)
    : kernels(cpu_kernels_get()), experts(layout.experts), routers(layout.layers.size()) {
    n_embd      = layout.layers.empty() ? 0 : layout.layers.front().parts.front().n_in;
    groups      = model->hparams.n_expert_groups;
    groups_used = model->hparams.n_group_used;
    gating      = model->hparams.expert_gating_func;
    for (size_t i = 0; i < routers.size(); i++) {
        read(routers[i], model, layout.layers[i].block);
    }
}

void early_router::read(router & into, const llama_model * model, int32_t block) {
    const ggml_tensor * weights = tensor_of(model, block, "ffn_gate_inp.weight");
    const bool          usable  = weights && weights->buffer && weights->ne[0] == n_embd && weights->ne[1] == int64_t(experts) && ggml_is_contiguous(weights) &&
                        kernels.traits && kernels.traits(weights->type) && kernels.traits(weights->type)->vec_dot;
    if (!usable || !kernels.traits(kernels.traits(weights->type)->vec_dot_type)->from_float) {
        return;
    }
    into.type = weights->type;
    if (ggml_backend_buffer_is_host(weights->buffer)) {
        into.rows = static_cast<const uint8_t *>(weights->data);
    } else {
        into.copy.resize(ggml_nbytes(weights));
        ggml_backend_tensor_get(weights, into.copy.data(), 0, into.copy.size());
        into.rows = into.copy.data();
    }
    into.bias        = read_vector(tensor_of(model, block, "ffn_gate_inp.bias"), experts);
    into.choice_bias = read_vector(tensor_of(model, block, "exp_probs_b.bias"), experts);
}

// As llm_graph_context::build_moe_ffn. Without a bias the order is that of the logits, whatever the gating function.
void early_router::to_choice(const router & router, float * scores) const {
    for (size_t e = 0; e < router.bias.size(); e++) {
        scores[e] += router.bias[e];
    }
    if (!router.choice_bias.empty()) {
        const float highest = *std::max_element(scores, scores + experts);
        float       sum     = 0.0f;
        for (uint32_t e = 0; e < experts; e++) {
            sum += std::exp(scores[e] - highest);
        }
        for (uint32_t e = 0; e < experts; e++) {
            const float logit = scores[e];
            const float value = gating == LLAMA_EXPERT_GATING_FUNC_TYPE_SIGMOID        ? 1.0f / (1.0f + std::exp(-logit))
                              : gating == LLAMA_EXPERT_GATING_FUNC_TYPE_SOFTMAX        ? std::exp(logit - highest) / sum
                              : gating == LLAMA_EXPERT_GATING_FUNC_TYPE_SQRT_SOFTPLUS  ? std::sqrt(std::log1p(std::exp(std::min(logit, 80.0f))))
                                                                                       : logit;
            scores[e] = value + router.choice_bias[e];
        }
    }
    choose_groups(scores);
}

// The groups with the best two experts stay (DeepSeek-V3).
void early_router::choose_groups(float * scores) const {
    const uint32_t each = groups > 1 ? experts / groups : 0;
    if (each < 2 || groups_used == 0 || groups_used >= groups) {
        return;
    }
    std::vector<std::pair<float, uint32_t>> order;
    for (uint32_t g = 0; g < groups; g++) {
        std::vector<float> own(scores + g * each, scores + (g + 1) * each);
        std::partial_sort(own.begin(), own.begin() + 2, own.end(), std::greater<float>());
        order.push_back({ own[0] + own[1], g });
    }
    std::sort(order.rbegin(), order.rend());
    for (uint32_t i = groups_used; i < groups; i++) {
        std::fill_n(scores + order[i].second * each, each, -std::numeric_limits<float>::infinity());
    }
}

void early_router::scores(uint32_t layer, const std::vector<float> & input, std::vector<float> & into) {
    const router &               router    = routers[layer];
    const ggml_type_traits_cpu & traits    = *kernels.traits(router.type);
    const size_t                 row_bytes = ggml_row_size(router.type, n_embd);
    const size_t                 tokens    = input.size() / size_t(n_embd);
    into.resize(tokens * experts);
    row.resize(ggml_row_size(traits.vec_dot_type, n_embd));
    for (size_t t = 0; t < tokens; t++) {
        kernels.traits(traits.vec_dot_type)->from_float(input.data() + t * size_t(n_embd), row.data(), n_embd);
        for (uint32_t e = 0; e < experts; e++) {
            traits.vec_dot(int(n_embd), &into[t * experts + e], 0, router.rows + e * row_bytes, 0, row.data(), 0, 1);
        }
        to_choice(router, &into[t * experts]);
    }
}

}  // namespace moebius
