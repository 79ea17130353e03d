// Finds a model's super experts while it is used (policy/super-experts).
#pragma once

#include "expert-layout.h"
#include "experts/policy/super-experts.h"

#include <atomic>
#include <optional>

namespace moebius {

class super_expert_finder {
  public:
    explicit super_expert_finder(const expert_layout & layout) : experts(layout.experts), peaks(layout.layers.size() * layout.experts) {}

    // An expert's output for some tokens had values of at most this magnitude. Any thread.
    void saw(uint32_t layer, uint32_t expert, float peak);

    // --- by one thread at a time

    // Once a batch of a layer. True: `known` has changed. Looks at batches 1, 2, 4, 8, ..., as what is not found early is rarely found later.
    bool look();

    // What an earlier life of the model has shown; stands until this one has seen enough itself.
    void remember(std::vector<super_expert> earlier);

    // Highest peak first; nullopt: not enough was seen to tell.
    const std::optional<std::vector<super_expert>> & known() const { return found; }

  private:
    uint32_t                                 experts;
    std::vector<std::atomic<float>>          peaks;  // [layer][expert]
    uint64_t                                 batches = 0;
    std::optional<std::vector<super_expert>> found;
};

}  // namespace moebius
