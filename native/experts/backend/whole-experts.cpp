#include "whole-experts.h"

#include <llama-model.h>

namespace moebius {

namespace {

// The tensor if the device can compute with it where it is, else null.
ggml_tensor * usable(ggml_tensor * tensor, const expert_part & part, uint32_t experts) {
    const bool there = tensor && tensor->buffer && ggml_backend_buffer_is_host(tensor->buffer) && !tensor->extra;
    const bool same  = there && tensor->type == part.type && tensor->ne[0] == part.n_in && tensor->ne[1] == part.n_out && tensor->ne[2] == experts;
    return same ? tensor : nullptr;
}

}  // namespace

whole_experts::whole_experts(expert_layout layout, const llama_model * model, int64_t tokens_most)
    : expert_source(std::move(layout)), tensors(all.layers.size()) {
    std::unordered_map<std::string, ggml_tensor *> by_name;
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        by_name[name] = tensor;
    }
    for (uint32_t i = 0; i < all.layers.size(); i++) {
        for (const expert_part & part : all.layers[i].parts) {
            tensors[i].push_back(usable(by_name[expert_tensor_name(all.layers[i], part)], part, all.experts));
        }
        if (std::count(tensors[i].begin(), tensors[i].end(), nullptr) > 0) {
            continue;
        }
        for (uint32_t p = 0; p < tensors[i].size(); p++) {
            expert_tensor & mark = marks.emplace_back();
            mark.source          = this;
            mark.layer           = i;
            mark.part            = p;
            mark.loaded          = true;
            mark.tokens_most     = tokens_most;
            tensors[i][p]->extra = &mark;
        }
    }
}

const uint8_t * whole_experts::wait(uint32_t layer, uint32_t expert, uint32_t part) {
    const ggml_tensor * tensor = tensors[layer][part];
    return static_cast<const uint8_t *>(tensor->data) + expert * tensor->nb[2];
}

void whole_experts::adapt(const std::set<int32_t> & blocks) {
    for (expert_tensor & mark : marks) {
        mark.is_adapted = blocks.count(all.layers[mark.layer].block) > 0;
    }
}

}  // namespace moebius
