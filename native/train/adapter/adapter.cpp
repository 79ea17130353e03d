#include "adapter.h"

#include <cmath>

namespace moebius {

float adapted_tensor::scale() const {
    return is_rank_stabilised ? lora_alpha / std::sqrt(float(lora_rank)) : lora_alpha / float(lora_rank);
}

}  // namespace moebius
