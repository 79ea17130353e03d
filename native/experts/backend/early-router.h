// The routers of a model's MoE layers, to be applied before their layers are reached.
#pragma once

#include "experts/dispatch/cpu-kernels.h"
#include "experts/dispatch/row-view.h"
#include "experts/store/expert-layout.h"

#include <vector>

struct llama_model;

namespace moebius {

// Fate (arXiv 2502.12224): what enters the router of one layer, a normalised hidden state, is much like what enters that of the next.
// Exchanging the weights of the one layer's norm for those of the other changed no recall that was measured, so it is not done.
class early_router {
  public:
    // Reads what is not in host memory. Layers whose router is of a shape that is not known are left out.
    early_router(const expert_layout & layout, const llama_model * model);

    bool has(uint32_t layer) const { return routers[layer].rows != nullptr; }

    // What the router of the layer would choose by, [tokens][experts], the higher the sooner; input: [tokens] rows of n_embd that entered
    // the router of a layer below. Experts in groups that the model leaves out get minus infinity.
    void scores(uint32_t layer, const std::vector<float> & input, std::vector<float> & into);

  private:
    struct router {
        const uint8_t *      rows = nullptr;  // [experts] of n_embd values
        std::vector<uint8_t> copy;            // of them, from a device
        ggml_type            type = GGML_TYPE_F32;
        std::vector<float>   bias;            // [experts] of the logits, or empty
        std::vector<float>   choice_bias;     // [experts] that is added to the probabilities to choose by, or empty
    };

    void read(router & into, const llama_model * model, int32_t block);
    void choose_groups(float * scores) const;
    void to_choice(const router & router, float * scores) const;

    const cpu_kernels &  kernels;
    int64_t              n_embd = 0;
    uint32_t             experts;
    uint32_t             groups = 0, groups_used = 0, gating = 0;  // as the model's metadata has them
    std::vector<router>  routers;  // [layer]
    std::vector<uint8_t> row;
};

}  // namespace moebius
