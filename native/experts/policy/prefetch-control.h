// How far ahead and how boldly a predictor of experts may read, from what its reads brought. Pure.
#pragma once

#include <array>
#include <cstdint>

namespace moebius {

// Who says which experts a layer will use.
enum class expert_predictor : uint8_t {
    router,   // the layer's own router, applied to the hidden state of a layer below (Fate, arXiv 2502.12224), weighed with the tokens' past
    tokens,   // what the batch's tokens used before (ExpertFlow, arXiv 2410.17954; routing mostly follows token ids: OpenMoE, arXiv 2402.01739)
    history,  // what followed, and went with, the experts that were used last: foresight_policy
};
constexpr uint32_t expert_predictors = 3;

// "router", "tokens", "history"
const char * expert_predictor_name(expert_predictor predictor);

constexpr uint32_t prefetch_depth_most = 4;  // layers ahead

// Layers ahead that a predictor can be asked for.
uint32_t prefetch_depth_limit(expert_predictor predictor);

// Of one predictor.
struct prefetch_control {
    uint32_t depth      = 1;     // layers ahead; 0: off
    double   least      = 0.5;  // probability from which an expert is read
    uint32_t pause      = 0;     // windows until it is tried again, while it is off
    uint32_t next_pause = 4;     // the next time it turns out useless
    uint32_t no_deeper  = 0;     // windows until a greater depth is tried again
};

// What the reads of one predictor, started so many layers ahead, came to.
struct prefetch_outcome {
    uint64_t in_time = 0;  // used, and there
    uint64_t late    = 0;  // used, and still on its way
    uint64_t wasted  = 0;  // not used by the batch that it was read for
    double   saved   = 0.0;  // seconds that the disk read for them while nobody waited for it
    double   lost    = 0.0;  // seconds by which reads in vain delayed others, and those of experts that had to leave for them

    uint64_t           reads() const { return in_time + late + wasted; }
    double             worth() const { return saved - lost; }
    prefetch_outcome & operator+=(const prefetch_outcome & other);
};

// Of a window of batches, by distance - 1.
using prefetch_feedback = std::array<prefetch_outcome, prefetch_depth_most>;

constexpr uint64_t prefetch_reads_least = 8;  // fewer say nothing

// The control of the next window. An expert is worth reading from the probability on at which what it saves outweighs what it may lose;
// where the reads cost more than they saved although they kept to that, the probability rises, then the predictor goes off, to be tried
// again after a pause that doubles each time. Reads that come late ask for more depth, a depth whose reads cost more than they save is
// given up.
prefetch_control prefetch_adjust(const prefetch_control & now, const prefetch_feedback & seen, uint32_t depth_limit);

}  // namespace moebius
