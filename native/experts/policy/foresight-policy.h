// Keeps, and reads ahead, what the routing so far makes probable. Pure; learns while it runs, from nothing but what used() tells.
#pragma once

#include "use-regression.h"

namespace moebius {

// What is known of an expert of a layer: how often it was used of late (LRFU's decayed count) and in the long run, how often it followed the experts that
// the layer used last (a first-order chain, as the activation-aware prefetching of MoE-Infinity, arXiv 2401.14361, rests on), and how often it
// went with the experts that the layer below uses for the same token (inter-layer affinity, ExFlow, arXiv 2401.08383). The late uses and the chain rank
// residents when a slot is needed. For foresee(), a regression per layer weighs all of it, and what pairs of experts tell beyond it.
//
// Batches of many tokens (prompts) use most experts and tell nothing of what follows what: they only count for how often.
// Memory: rows of 12 * experts bytes for each (layer, expert) that was used, twice.
class foresight_policy : public cache_policy {
  public:
    explicit foresight_policy(const expert_cache_shape & shape);

    void                      used(uint32_t layer, const std::vector<expert_use> & uses) override;
    double                    keep_value(expert_ref expert) const override { return values[at(expert)]; }
    std::vector<foreseen_use> foresee(uint32_t layer) override;

  private:
    // How often experts followed a given one: counts over what they followed.
    struct chain {
        std::vector<std::vector<float>> counts;  // [layer * experts + given][following]; an empty row: never given
        std::vector<float>              given;   // [layer * experts + given]
    };

    struct layer_state {
        std::vector<uint32_t> last;                        // what a batch of few tokens used; empty behind one of many
        use_regression        regression;
        double                batches       = 0.0;         // decayed as `lasting`
        uint64_t              least_choices = UINT64_MAX;  // of tokens times experts per token, over all batches
    };

    size_t at(expert_ref expert) const { return size_t(expert.layer) * experts + expert.expert; }
    bool   few_tokens(layer_state & state, const std::vector<expert_use> & uses) const;
    double share(expert_ref expert) const;
    void   chances(const chain & links, uint32_t layer, const std::vector<uint32_t> & given, std::vector<double> & into) const;
    void   add_links(chain & links, uint32_t layer, const std::vector<uint32_t> & given, const std::vector<expert_use> & following);
    void   read_inputs(uint32_t layer);
    use_regression::given_experts given(uint32_t layer) const { return { &layers[layer].last, &below(layer) }; }
    const std::vector<uint32_t> & below(uint32_t layer) const;

    uint32_t                 experts;
    std::vector<layer_state> layers;
    std::vector<double>      recent;   // [layer][expert] decayed uses
    std::vector<double>      lasting;  // [layer][expert] the same, decayed far less
    std::vector<double>      values;   // [layer][expert] of keep_value
    chain                    in_layer;
    chain                    from_below;
    std::vector<double>      follows;  // [expert] logarithms, of the layer at work
    std::vector<double>      goes_with;
    std::vector<double>      rows;     // [expert][use_regression::inputs]
};

}  // namespace moebius
