#include "batch-plan.h"

#include <algorithm>

namespace moebius {

namespace {

// Shares `room` tokens evenly between prompts, starting with number turn % count: small ones leave their rest to others.
std::vector<uint32_t> share_evenly(const std::vector<batch_candidate> & prompts, uint32_t room, uint64_t turn) {
    const size_t          count = prompts.size();
    std::vector<uint32_t> given(count, 0);
    for (bool progress = true; progress && room > 0;) {
        progress            = false;
        const auto unserved = std::count_if(prompts.begin(), prompts.end(),
                                            [&](const batch_candidate & p) { return given[size_t(&p - prompts.data())] < p.pending; });
        const auto fair     = unserved > 0 ? std::max<uint32_t>(1, room / uint32_t(unserved)) : 0;
        for (size_t n = 0; n < count && room > 0; ++n) {
            const size_t   i    = size_t((turn + n) % count);
            const uint32_t more = uint32_t(std::min<size_t>({ prompts[i].pending - given[i], fair, room }));
            given[i] += more;
            room     -= more;
            progress  = progress || more > 0;
        }
    }
    return given;
}

void sort_by_slot(batch_plan & plan) {
    std::sort(plan.begin(), plan.end(), [](const batch_share & a, const batch_share & b) { return a.slot < b.slot; });
}

}  // namespace

std::vector<batch_plan> plan_batches(const std::vector<batch_candidate> & candidates, const batch_limits & limits, uint64_t turn) {
    std::vector<batch_plan>      plans;
    batch_plan                   shared;
    std::vector<batch_candidate> prompts;
    std::vector<batch_plan>      alone;
    for (const batch_candidate & c : candidates) {
        if (c.all_outputs) {
            alone.push_back({ { c.slot, uint32_t(std::min<size_t>({ c.pending, limits.tokens, limits.outputs })) } });
        } else if (c.pending == 1) {
            shared.push_back({ c.slot, 1 });
        } else {
            prompts.push_back(c);
        }
    }
    const uint32_t              decoding = uint32_t(shared.size());
    const uint32_t              left     = limits.tokens - std::min(limits.tokens, decoding);
    const uint32_t              room     = decoding > 0 ? std::min(left, limits.beside_decode) : left;
    const std::vector<uint32_t> given    = share_evenly(prompts, room, turn);
    for (size_t i = 0; i < prompts.size(); ++i) {
        if (given[i] == 0) {
            continue;
        }
        if (limits.by_sequence) {
            alone.push_back({ { prompts[i].slot, given[i] } });
        } else {
            shared.push_back({ prompts[i].slot, given[i] });
        }
    }
    if (!shared.empty()) {
        sort_by_slot(shared);
        plans.push_back(std::move(shared));
    }
    plans.insert(plans.end(), std::make_move_iterator(alone.begin()), std::make_move_iterator(alone.end()));
    return plans;
}

}  // namespace moebius
