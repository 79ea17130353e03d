#include "layer-copies.h"

namespace moebius {

layer_copies::layer_copies(uint32_t experts, const std::vector<uint32_t> & slots) : ready(experts, 0), wants(experts, 0), most(slots) {
    for (const uint32_t count : slots) {
        where.emplace_back(experts, none);
        in.emplace_back(count, none);
    }
}

// What devices cannot compute without the copy on this one: above 0 if there is no other.
double layer_copies::needed(uint32_t expert, uint32_t device, const std::vector<double> & loads) const {
    return expert != none && (ready[expert] & ~(1u << device)) == 0 ? 1 + loads[expert] : 0;
}

std::optional<layer_copies::copy> layer_copies::lacking(const std::vector<double> & loads) const {
    std::optional<copy> best;
    double              most = 0;
    for (uint32_t device = 0; device < in.size(); device++) {
        std::optional<double> lost;
        for (uint32_t expert = 0; expert < wants.size(); expert++) {
            if (!has(wants[expert], device) || has(ready[expert], device)) {
                continue;
            }
            lost              = lost ? *lost : needed(in[device][slot_for(device, loads)], device, loads);
            const double gain = *lost > 0 ? -*lost : needed(expert, device, loads);
            if (!best || gain > most) {
                best = copy{ device, expert };
                most = gain;
            }
        }
    }
    return best;
}

uint32_t layer_copies::slot_for(uint32_t device, const std::vector<double> & loads) const {
    uint32_t best = none;  // as many are wanted as there are slots at most: there is one
    for (uint32_t slot = 0; slot < in[device].size(); slot++) {
        const uint32_t there = in[device][slot];
        const bool     may   = there == none || !has(wants[there], device);
        best = may && (best == none || needed(there, device, loads) < needed(in[device][best], device, loads)) ? slot : best;
    }
    return best;
}

void layer_copies::put(copy which, uint32_t slot) {
    in[which.device][slot]              = which.expert;
    where[which.device][which.expert]   = slot;
    ready[which.expert] |= 1u << which.device;
}

bool layer_copies::withdraw(uint32_t device, uint32_t slot) {
    uint32_t & resident = in[device][slot];
    if (resident == none) {
        return false;
    }
    ready[resident] &= ~(1u << device);
    where[device][resident] = none;
    resident                = none;
    return true;
}

layer_copies::residents layer_copies::empty(uint32_t device, uint32_t count) {
    residents before = in[device];
    most[device]     = count;
    for (uint32_t slot = 0; slot < before.size(); slot++) {
        withdraw(device, slot);
    }
    return before;
}

std::vector<slot_move> layer_copies::kept(uint32_t device, const residents & before) const {
    std::vector<slot_move> moves;
    for (uint32_t slot = 0; slot < before.size(); slot++) {
        if (before[slot] != none && has(wants[before[slot]], device)) {
            moves.push_back({ slot, uint32_t(moves.size()) });
        }
    }
    return moves;
}

layer_copies::residents layer_copies::moved(const residents & before, const std::vector<slot_move> & moves, uint32_t count) {
    residents after(count, none);
    for (const slot_move & move : moves) {
        after.at(move.to) = before[move.from];
    }
    return after;
}

void layer_copies::refill(uint32_t device, const residents & now) {
    in[device].assign(now.size(), none);
    most[device] = uint32_t(now.size());
    for (uint32_t slot = 0; slot < now.size(); slot++) {
        if (now[slot] != none) {
            put({ device, now[slot] }, slot);
        }
    }
}

}  // namespace moebius
