// Sequence slots: each owns one sequence of the KV cache and keeps its tokens after a generation, so that a later prompt
// with the same beginning need not be evaluated again. Used by the decode thread only.
#pragma once

#include "context.h"

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

struct sequence_slot {
    llama_seq_id             sequence = 0;
    std::vector<llama_token> tokens;     // evaluated: what the KV cache holds for the sequence
    std::string              cache_key;  // of the last request on it
    std::string              adapters;   // adapter_set::key of what `tokens` were evaluated with
    uint64_t                 last_use     = 0;
    bool                     busy         = false;
    bool                     shares_cells = false;  // with another sequence: its positions must not be changed in place
};

struct slot_wish {
    const std::vector<llama_token> & prompt;
    const std::string &              cache_key;
    const std::string &              adapters;  // adapter_set::key
    bool                             reuse;     // what is cached
};

class slot_pool {
  public:
    slot_pool(const decode_context & context, uint32_t count);

    // The best free slot, or nullptr. Its `tokens` are then the part of the prompt that need not be evaluated:
    // never all of it, for the last token's logits are needed, and nothing that was evaluated with other adapters.
    // Choice: same key and adapters; else one whose content the prompt continues; else an empty or the least recently used one, into
    // which the longest prefix that any slot holds is copied.
    sequence_slot * acquire(const slot_wish & wish);

    void release(sequence_slot & slot);

    // Forgets all of a slot's tokens.
    void clear(sequence_slot & slot);

    // Drops the tokens `keep` .. `keep + discard - 1` and moves later ones down. Where the memory cannot do that, the slot
    // keeps the first `keep` tokens or none, and the caller evaluates the rest again.
    void shift(sequence_slot & slot, size_t keep, size_t discard);

    // Forgets the least recently used free slot that holds tokens; false: there is none.
    bool evict_idle();

    std::vector<sequence_slot> & all() { return slots; }

  private:
    size_t          common_prefix(const sequence_slot & slot, const slot_wish & wish) const;
    size_t          usable_prefix(const sequence_slot & slot, const slot_wish & wish) const;
    sequence_slot * choose(const slot_wish & wish);
    bool            truncate(sequence_slot & slot, size_t keep);
    void            copy_longer_prefix(sequence_slot & into, const slot_wish & wish);

    const decode_context &     context;
    std::vector<sequence_slot> slots;
    uint64_t                   clock      = 0;
    int32_t                    swa_window = 0;  // sliding window attention, tokens; 0: none
};

}  // namespace moebius
