#include "replica-moves.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

// A placement on its way to another one.
class partial_change {
  public:
    partial_change(const layer_placement & from, const layer_placement & to, const layer_rig & rig, uint32_t most)
        : to(to), rig(rig), state{ from, std::vector<uint32_t>(rig.devices(), 0), most } {
        for (const device_set devices : from) {
            for (uint32_t d = 0; d < rig.devices(); d++) {
                state.used[d] += has(devices, d) ? 1 : 0;
            }
        }
    }

    // A copy of an expert on a device where it is wanted, with all that has to move for it, if that is no more than may move.
    void bring(uint32_t expert, uint32_t device) {
        const progress before = state;
        if (!try_to_bring(expert, device)) {
            state = before;
        }
    }

    layer_placement take() { return std::move(state.now); }

  private:
    struct progress {
        layer_placement       now;
        std::vector<uint32_t> used;  // [devices], slots
        uint32_t              most;  // copies that may still be made
    };

    bool try_to_bring(uint32_t expert, uint32_t device) {
        if (has(state.now[expert], device)) {
            return true;
        }
        if (state.most == 0) {
            return false;
        }
        state.most--;
        state.now[expert] |= 1u << device;
        state.used[device]++;
        while (state.used[device] > rig.slots[device]) {
            if (!make_room(device)) {
                return false;
            }
        }
        return true;
    }

    // By a copy that is not wanted there. The last one of an expert has to be brought elsewhere first.
    bool make_room(uint32_t device) {
        const uint32_t none   = uint32_t(state.now.size());
        uint32_t       leaves = none;
        for (uint32_t e = 0; e < none && (leaves == none || is_last(leaves)); e++) {
            const bool may = has(state.now[e] & ~to[e], device) && (!is_last(e) || to[e] != 0);
            leaves         = may && (leaves == none || !is_last(e)) ? e : leaves;
        }
        if (leaves == none) {
            return false;
        }
        for (uint32_t d = 0; d < rig.devices() && is_last(leaves); d++) {
            if (has(to[leaves], d) && !try_to_bring(leaves, d)) {
                return false;
            }
        }
        if (has(state.now[leaves], device)) {  // it may have made room for others meanwhile
            state.now[leaves] &= ~(1u << device);
            state.used[device]--;
        }
        return true;
    }

    bool is_last(uint32_t expert) const { return copies_of(state.now[expert]) == 1; }

    const layer_placement & to;
    const layer_rig &       rig;
    progress                state;
};

}  // namespace

layer_placement place_towards(const layer_placement & from, const layer_placement & to, const std::vector<double> & loads, const layer_rig & rig, uint32_t most) {
    if (copies_to_move(from, to) <= most) {
        return to;
    }
    std::vector<uint32_t> busiest(loads.size());
    std::iota(busiest.begin(), busiest.end(), 0u);
    std::stable_sort(busiest.begin(), busiest.end(), [&](uint32_t a, uint32_t b) { return loads[a] > loads[b]; });
    partial_change change(from, to, rig, most);
    for (const uint32_t expert : busiest) {
        for (uint32_t d = 0; d < rig.devices(); d++) {
            if (has(to[expert], d)) {
                change.bring(expert, d);
            }
        }
    }
    return change.take();
}

uint32_t copies_to_move(const layer_placement & from, const layer_placement & to) {
    uint32_t count = 0;
    for (size_t i = 0; i < to.size(); i++) {
        count += copies_of(to[i] & ~from[i]);
    }
    return count;
}

}  // namespace moebius
