#include "expert-affinity.h"

namespace moebius {

void expert_affinity::observe(const token_routes & routes) {
    for (size_t begin = 0; begin + routes.used <= routes.experts.size() && routes.used > 0; begin += routes.used) {
        for (size_t i = begin; i < begin + routes.used; i++) {
            if (routes.experts[i] >= 0) {
                uses[size_t(routes.experts[i])] += 1.0f;
            }
            for (size_t j = begin; j < i; j++) {
                const int32_t a = routes.experts[i], b = routes.experts[j];
                if (a >= 0 && b >= 0 && a != b) {
                    pairs[index(uint32_t(a), uint32_t(b))] += 1.0f;
                }
            }
        }
    }
}

void expert_affinity::fade(double memory) {
    for (std::vector<float> * counts : { &uses, &pairs }) {
        for (float & count : *counts) {
            count *= float(memory);
        }
    }
}

}  // namespace moebius
