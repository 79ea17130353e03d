#include "adapter.h"

#include <algorithm>
#include <cmath>

namespace moebius {

float adapted_tensor::scale() const {
    return is_rank_stabilised ? lora_alpha / std::sqrt(float(lora_rank)) : lora_alpha / float(lora_rank);
}

int32_t adapted_tensor::matrix_of(int32_t expert) const {
    if (experts.empty()) {
        return expert;
    }
    const auto found = std::lower_bound(experts.begin(), experts.end(), expert);
    return found != experts.end() && *found == expert ? int32_t(found - experts.begin()) : -1;
}

adapter pairs_of(const adapter & of) {
    adapter pairs{ of.architecture, {}, of.tensors, of.mixture };
    for (adapted_tensor & tensor : pairs.tensors) {
        for (size_t * index : { &tensor.a, &tensor.b }) {
            pairs.parameters.push_back(of.parameters[*index]);
            *index = pairs.parameters.size() - 1;
        }
    }
    return pairs;
}

adapter with_all_experts(const adapter & of, int64_t experts) {
    adapter all = of;
    for (adapted_tensor & tensor : all.tensors) {
        for (const size_t index : { tensor.a, tensor.b }) {
            if (tensor.experts.empty()) {
                continue;
            }
            train_parameter &  stack  = all.parameters[index];
            const int64_t      matrix = stack.n0 * stack.n1;
            std::vector<float> values(size_t(matrix * experts), 0.0f);
            for (size_t i = 0; i < tensor.experts.size(); i++) {
                std::copy_n(stack.values.data() + int64_t(i) * matrix, matrix, values.data() + tensor.experts[i] * matrix);
            }
            stack.n2 = experts;
            stack.values = std::move(values);
            stack.gradient.assign(stack.values.size(), 0.0f);
        }
        tensor.experts.clear();
    }
    return all;
}

std::string router_name(int64_t layer) {
    return "blk." + std::to_string(layer) + ".ffn_gate_inp.weight";
}

}  // namespace moebius
