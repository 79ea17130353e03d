// Who computes what of a layer: by hand where that is easy, against all ways there are where it is not.
#include "check.h"
#include "experts/policy/layer-schedule.h"

#include <algorithm>
#include <random>

using namespace moebius;

namespace {

struct lane_load {
    double experts = 0, tokens = 0;
};

// When the last of all ends. Checks that every token is computed once, and only where that is possible.
double makespan_of(const layer_work & work, const std::vector<token_share> & shares) {
    const size_t           devices = work.devices.size();
    std::vector<lane_load> lanes(2 * devices + 1);
    std::vector<uint32_t>  done(work.tokens.size(), 0);
    for (const token_share & share : shares) {
        lanes[share.device].experts++;
        lanes[share.device].tokens += share.tokens;
        done[share.expert] += share.tokens;
        CHECK(share.tokens > 0);
        CHECK(share.device >= devices || (work.placement[share.expert] & (1u << share.device)) != 0);
        CHECK(share.device <= devices || (work.in_ram[share.expert] && work.fetching[share.device - devices - 1]));
    }
    CHECK(done == work.tokens);
    double last = work.cpu.of(lanes[devices].experts, lanes[devices].tokens);
    for (size_t d = 0; d < devices; d++) {
        last = std::max(last, work.devices[d].of(lanes[d].experts, lanes[d].tokens));
        if (!work.fetching.empty() && work.fetching[d]) {
            last = std::max(last, work.fetching[d]->of(lanes[devices + 1 + d].experts, lanes[devices + 1 + d].tokens));
        }
    }
    return last;
}

// The least makespan of all ways to give each expert to one place.
double best_of(const layer_work & work) {
    const uint32_t devices = uint32_t(work.devices.size()), places = 2 * devices + 1;
    uint64_t       ways    = 1;
    for (size_t e = 0; e < work.tokens.size(); e++) {
        ways *= places;
    }
    double best = INFINITY;
    for (uint64_t way = 0; way < ways; way++) {
        std::vector<lane_load> lanes(places);
        uint64_t               rest     = way;
        bool                   possible = true;
        for (uint32_t e = 0; e < work.tokens.size() && possible; e++, rest /= places) {
            const uint32_t place = uint32_t(rest % places);
            const bool in_ram = work.in_ram[e], nowhere = work.placement[e] == 0;
            possible          = place < devices    ? (work.placement[e] & (1u << place)) != 0
                                : place == devices ? in_ram || nowhere
                                                   : in_ram && work.fetching[place - devices - 1] && (work.placement[e] & (1u << (place - devices - 1))) == 0;
            lanes[place].experts++;
            lanes[place].tokens += work.tokens[e];
        }
        if (!possible) {
            continue;
        }
        double last = work.cpu.of(lanes[devices].experts, lanes[devices].tokens);
        for (uint32_t d = 0; d < devices; d++) {
            last = std::max(last, work.devices[d].of(lanes[d].experts, lanes[d].tokens));
            last = std::max(last, work.fetching[d] ? work.fetching[d]->of(lanes[devices + 1 + d].experts, lanes[devices + 1 + d].tokens) : 0);
        }
        best = std::min(best, last);
    }
    return best;
}

layer_work work_of(std::vector<uint32_t> tokens, layer_placement placement, std::vector<batch_cost> devices, batch_cost cpu) {
    layer_work work;
    work.in_ram.assign(tokens.size(), true);
    work.fetching.assign(devices.size(), std::nullopt);
    work.tokens    = std::move(tokens);
    work.placement = std::move(placement);
    work.devices   = std::move(devices);
    work.cpu       = cpu;
    return work;
}

uint32_t tokens_at(const std::vector<token_share> & shares, uint32_t device) {
    uint32_t sum = 0;
    for (const token_share & share : shares) {
        sum += share.device == device ? share.tokens : 0;
    }
    return sum;
}

void a_decode_step_fetches_nothing_and_a_prompt_does() {
    // an expert of 10 MB: 1 ms of the CPU and as much for each 16 tokens, 0.5 ms to fetch
    const batch_cost cpu{ 0, 1e-3, 6e-5 }, copies{ 0, 2e-5, 1e-6 }, fetched{ 0, 5e-4, 1e-6 };
    layer_work       work = work_of({ 1, 0, 0, 0 }, { 0, 0, 0, 0 }, { copies }, { 0, 4e-4, 6e-5 });
    work.fetching         = { fetched };
    CHECK_EQUAL(tokens_at(schedule_layer(work), 1), 1u);
    work.cpu    = cpu;
    work.tokens = { 100, 200, 3, 1 };
    const auto shares = schedule_layer(work);
    CHECK(tokens_at(shares, 2) >= 300u);
    work.fetching = { std::nullopt };
    CHECK_EQUAL(tokens_at(schedule_layer(work), 1), 304u);
    work.fetching = { fetched };
    work.in_ram   = { false, false, false, false };
    CHECK_EQUAL(tokens_at(schedule_layer(work), 2), 0u);
}

void the_cpu_takes_over_only_when_it_may() {
    layer_work work = work_of({ 10, 10, 10 }, { 1, 1, 1 }, { { 0, 1, 0.1 } }, { 0, 1, 0.1 });
    const auto with = schedule_layer(work);
    CHECK_EQUAL(tokens_at(with, 1), 10u);
    CHECK_EQUAL(tokens_at(with, 0), 20u);
    work.cpu_helps = false;
    CHECK_EQUAL(tokens_at(schedule_layer(work), 0), 30u);
}

// 400 random layers of 5 experts on one or two devices. Tokens are split over copies, so it can be better than any way that gives an expert to one place.
void nearly_as_good_as_the_best_of_all_ways() {
    std::mt19937 random(3);
    const auto   between = [&](double least, double most) { return std::uniform_real_distribution<double>(least, most)(random); };
    double       sum = 0, worst = 0;
    const int    count = 400;
    for (int i = 0; i < count; i++) {
        const uint32_t          devices = 1 + random() % 2;
        std::vector<uint32_t>   tokens;
        layer_placement         placement;
        std::vector<batch_cost> costs;
        for (uint32_t e = 0; e < 5; e++) {
            tokens.push_back(random() % 4 == 0 ? 0 : 1 + random() % (1u << (random() % 7)));
            placement.push_back(random() % (1u << devices));
        }
        for (uint32_t d = 0; d < devices; d++) {
            costs.push_back({ between(0, 1), between(0.1, 1), between(0.01, 0.2) });
        }
        layer_work work = work_of(tokens, placement, costs, { between(0, 1), between(0.5, 3), between(0.05, 0.5) });
        for (auto & fetching : work.fetching) {
            fetching = random() % 3 == 0 ? std::nullopt : std::optional<batch_cost>({ between(0, 1), between(0.5, 5), between(0.01, 0.2) });
        }
        for (size_t e = 0; e < tokens.size(); e++) {
            work.in_ram[e] = random() % 5 != 0;
        }
        const double made = makespan_of(work, schedule_layer(work)), best = best_of(work);
        const double ratio = best > 0 ? made / best : 1;
        sum += ratio;
        worst = std::max(worst, ratio);
    }
    std::fprintf(stderr, "makespan over the best of all ways: mean %.3f, worst %.3f\n", sum / count, worst);
    CHECK(sum / count < 1.05);
    CHECK(worst < 1.6);
}

}  // namespace

int main() {
    a_decode_step_fetches_nothing_and_a_prompt_does();
    the_cpu_takes_over_only_when_it_may();
    nearly_as_good_as_the_best_of_all_ways();
    return moebius_test::check_result();
}
