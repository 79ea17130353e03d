#include "expert-tensors.h"

#include "rpc/errors.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr const char * both = "ffn_gate_up_exps.weight";
constexpr const char * parts[] = { both, "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight" };

}  // namespace

uint64_t expert_tensors::bytes() const {
    uint64_t sum = 0;
    for (const gguf_tensor * tensor : all()) {
        sum += tensor ? tensor->bytes : 0;
    }
    return sum;
}

bool is_expert_tensor(const std::string & name) {
    const size_t part = name.rfind("ffn_");
    return part != std::string::npos && std::find(std::begin(parts), std::end(parts), name.substr(part)) != std::end(parts);
}

expert_tensors expert_tensors_of(const gguf_model & file, int64_t layer) {
    const int64_t experts = file.hparam("expert_count", 0);
    const auto    find    = [&](const char * part, bool needed) {
        const std::string         name   = "blk." + std::to_string(layer) + "." + part;
        const gguf_tensor * const tensor = file.find_tensor(name);
        if (!tensor && needed) {
            throw user_error("model.unsupported", "This model cannot be trained: it has no tensor " + name + ".", { { "tensor", name } });
        }
        if (tensor && tensor->ne[2] != experts) {
            throw user_error("model.unsupported", "This model cannot be trained: " + name + " has " + std::to_string(tensor->ne[2]) + " experts, and the model " + std::to_string(experts) + ".",
                             { { "tensor", name } });
        }
        return tensor;
    };
    expert_tensors found;
    if (!file.find_tensor("blk." + std::to_string(layer) + ".ffn_gate_inp.weight")) {
        return found;
    }
    found.gate = find(both, false);
    found.up   = found.gate ? nullptr : find("ffn_up_exps.weight", true);
    found.gate = found.gate ? found.gate : find("ffn_gate_exps.weight", true);
    found.down = find("ffn_down_exps.weight", true);
    return found;
}

}  // namespace moebius
