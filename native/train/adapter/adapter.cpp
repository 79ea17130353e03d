#include "adapter.h"

#include <cmath>

namespace moebius {

float adapted_tensor::scale() const {
    return is_rank_stabilised ? lora_alpha / std::sqrt(float(lora_rank)) : lora_alpha / float(lora_rank);
}

std::string router_name(int64_t layer) {
    return "blk." + std::to_string(layer) + ".ffn_gate_inp.weight";
}

}  // namespace moebius
