// Which expert is in which slot: bookkeeping of one tier (a GPU's slots, or RAM's). Pure. A layer has slots of its own, numbered from 0.
#pragma once

#include "cache-policy.h"

namespace moebius {

struct taken_slot {
    uint32_t expert  = 0;
    uint32_t slot    = 0;
    uint32_t evicted = UINT32_MAX;  // expert that left it; UINT32_MAX: it was free
};

struct slot_move {
    uint32_t from = 0;
    uint32_t to   = 0;
};

// How much is read before it is asked for. The defaults read ahead what is more likely than not: on recorded traces as many bytes as "lru" in all, for a hit
// rate of Belady's or up to 4 points less. A lower `least` hits more often and reads more (0.3: 10% to 25% more).
struct read_ahead {
    uint32_t most   = 0;    // experts per layer and batch; 0: none
    double   least  = 0.5;  // probability that it is used
    double   margin = 2.0;  // and more than that many times the worth of the resident that has to leave
};

class slot_cache {
  public:
    static constexpr int32_t none = -1;

    slot_cache(expert_cache_shape shape, std::unique_ptr<cache_policy> policy);

    // Tells the policy; see cache_policy::used.
    void used(uint32_t layer, const std::vector<expert_use> & uses);

    // The slot that holds `expert`, or none.
    int32_t slot_of(expert_ref expert) const;

    // Takes a slot for an expert that has none: a free one, else that of the resident with the lowest keep_value that is neither pinned nor protected,
    // which leaves and is written to `evicted` (when given; .expert = UINT32_MAX if the slot was free). none: there is none.
    int32_t take(expert_ref expert, expert_ref * evicted = nullptr);

    // See cache_policy::foresee.
    std::vector<foreseen_use> foresee(uint32_t layer) { return policy->foresee(layer); }

    // Before the next batch reaches `layer`: takes slots for experts that it will probably use, `foreseen` with falling probability. They
    // are resident when this returns and not pinned; the caller reads them. Of those that are improbable enough, the resident with the
    // lowest keep_value leaves. chances: [experts], where others foresee more than `foreseen` does.
    std::vector<taken_slot> take_ahead(uint32_t layer, const std::vector<foreseen_use> & foreseen, const read_ahead & ahead, std::vector<double> chances = {});

    // Pinned experts are not evicted. Counted: as many unpins as pins. The expert must be resident.
    void pin(expert_ref expert);
    void unpin(expert_ref expert);
    bool pinned(expert_ref expert) const;

    // These are never evicted once they are there, whatever the policy says, and come first when slots are free; the first of a layer's until two of
    // its slots are left for the others. Until the next call. No expert twice.
    void protect(const std::vector<expert_ref> & experts);
    bool is_protected(expert_ref expert) const;

    // Forgets a resident, e.g. when reading it failed. It must not be pinned.
    void drop(expert_ref expert);

    // Undoes take_ahead before anything was read into the slot: `evicted`, if any, is resident there again. `expert` must not be pinned.
    void give_back(expert_ref expert, uint32_t evicted);

    // Changes the number of a layer's slots. If there are fewer, the residents with the lowest keep_value leave, and those of the
    // others that were in a slot which is gone move: copy their data before anything else. None of the layer may be pinned.
    std::vector<slot_move> resize(uint32_t layer, uint32_t slots);

    // Experts of a layer that have no slot, at most as many as there are free ones; the highest keep_value first.
    std::vector<uint32_t> wanted(uint32_t layer) const;

    const expert_cache_shape & shape() const { return cache_shape; }

    // Swaps the policy, keeping what is resident.
    void set_policy(std::unique_ptr<cache_policy> policy);

  private:
    // The experts of a layer that have a slot, or that have none: those that are protected, then by falling keep_value.
    std::vector<uint32_t> by_value(uint32_t layer, bool resident) const;
    // chances: [experts], null: anybody may leave who is not pinned; else those below `less_than` only.
    int32_t  slot_to_leave(uint32_t layer, const std::vector<double> * chances = nullptr, double less_than = 0.0) const;
    uint32_t put(expert_ref expert, int32_t slot);

    expert_cache_shape                 cache_shape;
    std::unique_ptr<cache_policy>      policy;
    std::vector<std::vector<int32_t>>  slots;      // [layer][expert] -> slot
    std::vector<std::vector<uint32_t>> residents;  // [layer][slot] -> expert, UINT32_MAX: free
    std::vector<std::vector<uint32_t>> pins;       // [layer][expert]
    std::vector<std::vector<uint32_t>> protect_first;  // [layer] experts, the first of which are protected
};

}  // namespace moebius
