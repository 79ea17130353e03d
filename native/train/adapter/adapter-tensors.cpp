#include "adapter-tensors.h"

#include "train/base/expert-tensors.h"

namespace moebius {

namespace {

template <typename T> T found_or_nothing(const std::unordered_map<std::string, T> & all, const std::string & name) {
    const auto found = all.find(name);
    return found == all.end() ? T() : found->second;
}

}  // namespace

adapter_tensors::adapter_tensors(const adapter & of, ggml_backend_dev_t device) : memory(device, of.parameters.size()), mixed(of.mixture) {
    made.resize(of.parameters.size(), nullptr);
    const auto make = [&](size_t i) {
        const train_parameter & parameter = of.parameters[i];
        return made[i]                    = memory.make(GGML_TYPE_F32, parameter.n0, parameter.n1, parameter.n2);
    };
    std::vector<bool> is_whole(of.parameters.size(), true);
    for (const adapted_tensor & tensor : of.tensors) {
        is_whole[tensor.a] = is_whole[tensor.b] = false;
        if (!is_expert_tensor(tensor.base)) {
            loras[tensor.base] = { make(tensor.a), make(tensor.b), tensor.scale(), tensor.a, tensor.b, tensor.dropout };
        }
    }
    for (size_t i = 0; i < is_whole.size(); i++) {
        if (is_whole[i]) {
            wholes[of.parameters[i].name] = { make(i), i };
        }
    }
    memory.allocate();
    write(of);
}

void adapter_tensors::write(const adapter & of) const {
    for (size_t i = 0; i < made.size(); i++) {
        if (made[i]) {
            train_runner::write(made[i], of.parameters[i].values.data());
        }
    }
}

lora_tensors adapter_tensors::lora_of(const ggml_tensor * base) const {
    return found_or_nothing(loras, base->name);
}

whole_tensor adapter_tensors::whole_of(const ggml_tensor * base) const {
    return found_or_nothing(wholes, base->name);
}

whole_tensor adapter_tensors::router_of_mixture(int64_t layer) const {
    return mixed.experts > 0 ? found_or_nothing(wholes, router_name(layer)) : whole_tensor();
}

}  // namespace moebius
