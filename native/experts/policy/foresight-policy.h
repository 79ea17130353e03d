// Keeps, and reads ahead, what the routing so far makes probable. Pure; learns while it runs, from nothing but what used() tells.
#pragma once

#include "cache-policy.h"

namespace moebius {

// Three things are known of an expert of a layer: how often it was used of late (LRFU's decayed count), how often it followed the
// experts that the layer used last (a first-order chain, as the activation-aware prefetching of MoE-Infinity, arXiv 2401.14361, rests on),
// and how often it went with the experts that the layer below uses for the same token (inter-layer affinity, ExFlow,
// arXiv 2401.08383). The first two rank residents when a slot is needed. For foresee(), a logistic regression per layer, learned by one
// gradient step per batch, weighs all three.
//
// Batches of many tokens (prompts) use most experts and tell nothing of what follows what: they only count for the first.
// Memory: a row of 4 * experts bytes for each (layer, expert) that was used, twice.
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

    static constexpr size_t inputs = 5;
    struct layer_state {
        std::vector<uint32_t> last;                  // what a batch of few tokens used; empty behind one of many
        double                weights[inputs];       // of the regression
        uint64_t              least_choices = UINT64_MAX;  // of tokens times experts per token, over all batches
    };

    size_t at(expert_ref expert) const { return size_t(expert.layer) * experts + expert.expert; }
    bool   few_tokens(layer_state & state, const std::vector<expert_use> & uses) const;
    double share(expert_ref expert) const;
    void   chances(const chain & links, uint32_t layer, const std::vector<uint32_t> & given, std::vector<double> & into) const;
    void   add_links(chain & links, uint32_t layer, const std::vector<uint32_t> & given, const std::vector<expert_use> & following);
    void   read_inputs(uint32_t layer);
    double probability(uint32_t layer, uint32_t expert) const;
    void   learn(uint32_t layer, const std::vector<expert_use> & uses);
    const std::vector<uint32_t> & below(uint32_t layer) const;

    uint32_t                 experts;
    std::vector<layer_state> layers;
    std::vector<double>      recent;  // [layer][expert] decayed uses
    std::vector<double>      values;  // [layer][expert] of keep_value
    chain                    in_layer;
    chain                    from_below;
    std::vector<double>      follows;    // [expert] logarithms, of the layer at work
    std::vector<double>      goes_with;
    std::vector<double>      rows;     // [expert][inputs]
};

}  // namespace moebius
