// Decides which tokens share the next batches. Pure: no llama.cpp here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moebius {

// A sequence that has something to evaluate.
struct batch_candidate {
    uint32_t slot;
    size_t   pending;      // tokens not evaluated yet, at least 1; 1: one decoding step
    bool     all_outputs;  // logits of every token are asked
};

struct batch_share {
    uint32_t slot;
    uint32_t count;
};

struct batch_limits {
    uint32_t tokens;         // of one batch
    uint32_t outputs;        // tokens of one batch whose logits may be asked
    uint32_t beside_decode;  // prompt tokens in a batch in which others decode: bounds how long those wait
    bool     by_sequence;    // prompt chunks of different sequences must not share a batch
};

using batch_plan = std::vector<batch_share>;

// The batches of one round, to be decoded in this order. Every decoding sequence gets its token; prompts share what is left
// evenly, `turn` (a counter of rounds) deciding who gets the rest. Within a batch slots ascend, so that the same sequences
// decoding on make the same batch and llama.cpp can reuse its graph. `candidates` ascend by slot.
std::vector<batch_plan> plan_batches(const std::vector<batch_candidate> & candidates, const batch_limits & limits, uint64_t turn);

}  // namespace moebius
