// A trace cut into the batches that the engine would have evaluated.
#pragma once

#include "experts/policy/cache-policy.h"
#include "trace.h"

namespace moebius {

class replay_batches {
  public:
    // A record that is the first of its sequence, or stands at position 0, is (a piece of) a prompt: cut into batches of `prompt_batch`
    // tokens. All others are replies: one token a batch. Sequences come one after the other, in the order of their first records.
    // prompt_batch: at least 1.
    replay_batches(const routing_trace & trace, uint32_t prompt_batch);

    uint32_t layers() const { return layer_count; }
    uint32_t experts() const { return expert_count; }
    uint32_t used() const { return used_count; }  // experts per token and layer
    uint32_t count() const { return uint32_t(token_counts.size()); }
    uint32_t tokens(uint32_t batch) const { return token_counts[batch]; }
    // Of them those that the layer was computed for: in the last layer those whose logits were wanted.
    double   tokens(uint32_t batch, uint32_t layer) const;
    uint64_t tokens() const;
    // Whether the batch begins a prompt; the next batches are of the same sequence until another does.
    bool     begins_prompt(uint32_t batch) const { return prompt_starts[batch]; }

    // Distinct experts of a batch in a layer, in the order of their first token; empty where the layer was not computed.
    const expert_use * begin(uint32_t batch, uint32_t layer) const { return uses.data() + starts[at(batch, layer)]; }
    const expert_use * end(uint32_t batch, uint32_t layer) const { return uses.data() + starts[at(batch, layer) + 1]; }
    // Where begin() is in the list of all uses.
    size_t             index(uint32_t batch, uint32_t layer) const { return starts[at(batch, layer)]; }
    size_t             use_count() const { return uses.size(); }

  private:
    size_t at(uint32_t batch, uint32_t layer) const { return size_t(batch) * layer_count + layer; }
    void   add(const trace_record & record, uint32_t first, uint32_t tokens);

    uint32_t                layer_count;
    uint32_t                expert_count;
    uint32_t                used_count;
    std::vector<uint32_t>   token_counts;  // [batch]
    std::vector<bool>       prompt_starts;  // [batch]
    std::vector<size_t>     starts;        // [batch][layer], and the end
    std::vector<expert_use> uses;
    std::vector<size_t>     place;         // [expert], of the batch and layer that are being added: index into `uses` + 1
};

}  // namespace moebius
