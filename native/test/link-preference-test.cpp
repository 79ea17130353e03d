// Devices behind slow links: of what is equally good otherwise, copies and tokens go where sending costs least. Against brute force, and replayed.
#include "check.h"
#include "experts/policy/layer-schedule.h"
#include "experts/policy/link-preference.h"
#include "experts/policy/replica-controller.h"
#include "experts/policy/replica-improvement.h"
#include "experts/policy/replica-placement.h"
#include "experts/simulate/device-replay.h"

#include <numeric>
#include <random>

using namespace moebius;

namespace {

constexpr double here = 1e-5, away = 4e-4;  // seconds that a row takes there and back: on this machine, on another

std::vector<double> loads_of(const std::vector<token_share> & shares, size_t devices) {
    std::vector<double> loads(devices, 0.0);
    for (const token_share & share : shares) {
        loads[share.device] += share.tokens;
    }
    return loads;
}

// Two experts are to have a second copy, and two equally idle devices have a free slot each: the busier one's goes to the device that is near, whichever that is.
void a_spare_copy_goes_to_the_nearer_device() {
    for (const uint32_t remote : { 1u, 2u }) {
        layer_rig rig{ { 1, 1, 1 }, { 2, 2, 2 }, { here, here, here } };
        rig.links[remote]            = away;
        const uint32_t        local  = 3 - remote;
        const layer_placement placed = place_recounted({ 1, 1, 2, 4 }, { 60, 40, 30, 30 }, { 2, 2, 1, 1 }, rig);
        CHECK(placed[0] == (1u | 1u << local));
        CHECK(placed[1] == (1u | 1u << remote));
    }
}

// A copy that is one too many leaves the device where its tokens cost the most.
void a_copy_too_many_leaves_the_remote_device() {
    for (const uint32_t remote : { 0u, 1u }) {
        layer_rig rig{ { 1, 1 }, { 2, 2 }, { here, here } };
        rig.links[remote]            = away;
        const layer_placement placed = place_recounted({ 3, 1, 2 }, { 60, 30, 30 }, { 1, 1, 1 }, { rig.speeds, { 2, 2 }, rig.links });
        CHECK(has(placed[0], 1 - remote));
    }
}

// Devices 1 and 2 have the same experts in the same number; the bottleneck gives its busiest expert to the near one.
void the_bottleneck_gives_to_the_nearer_device() {
    for (const uint32_t remote : { 1u, 2u }) {
        layer_rig rig{ { 1, 1, 1 }, { 2, 2, 2 }, { here, here, here } };
        rig.links[remote] = away;
        const layer_placement first = { 1, 1, 6, 6 };
        const layer_placement next  = place_improved(first, { { 50, 40, 10, 10 } }, rig, 1);
        CHECK_EQUAL(copies_of(next[0] & ~first[0]) + copies_of(next[1] & ~first[1]), 1u);
        CHECK(!has(next[0] | next[1], remote));
    }
}

void links_of_equal_ones_change_nothing_and_a_bad_link_is_refused() {
    const layer_rig without{ { 1, 1, 1 }, { 3, 3, 3 } }, with{ { 1, 1, 1 }, { 3, 3, 3 }, { away, away, away } };
    std::mt19937    random(31);
    for (int round = 0; round < 50; round++) {
        std::vector<double> loads(6);
        for (double & load : loads) {
            load = 1 + random() % 50;
        }
        const layer_placement first = place_static(6, without);
        CHECK(place_recounted(first, loads, { 2, 1, 1, 2, 1, 2 }, with) == place_recounted(first, loads, { 2, 1, 1, 2, 1, 2 }, without));
    }
    CHECK_THROWS(check_rig({ { 1, 1 }, { 4, 4 }, { 1 } }, 4), user_error, error.code == "request.invalid");
    CHECK_THROWS(check_rig({ { 1, 1 }, { 4, 4 }, { 1, -1 } }, 4), user_error, error.code == "request.invalid");
}

struct split_case {
    std::vector<uint32_t>   tokens;
    layer_placement         placement;
    std::vector<batch_cost> costs;
    std::vector<double>     links;

    std::vector<token_share> split() const {
        std::vector<double> speeds;
        for (const batch_cost & cost : costs) {
            speeds.push_back(1 / cost.per_token);
        }
        return split_tokens(tokens, placement, speeds);
    }
    double end(const std::vector<token_share> & shares) const {
        const auto loads = loads_of(shares, costs.size());
        double     last  = 0;
        for (size_t d = 0; d < costs.size(); d++) {
            last = std::max(last, loads[d] * costs[d].per_token);
        }
        return last;
    }
    double sent(const std::vector<token_share> & shares) const {
        const auto loads = loads_of(shares, costs.size());
        return std::inner_product(loads.begin(), loads.end(), links.begin(), 0.0);
    }
};

split_case random_case(std::mt19937 & random) {
    split_case made;
    for (uint32_t e = 0; e < 4; e++) {
        made.tokens.push_back(random() % 6);
        made.placement.push_back(1 + random() % 7);
    }
    for (uint32_t d = 0; d < 3; d++) {
        made.costs.push_back({ 0, 0, 1.0 + double(random() % 2) });
        made.links.push_back(std::vector<double>{ 1, 3, 20 }[random() % 3]);
    }
    return made;
}

// Over every way to split that ends by the limit.
double least_sent(const split_case & given, double limit) {
    double                            best = INFINITY;
    std::vector<token_share>          shares;
    const std::function<void(uint32_t, uint32_t, uint32_t)> choose = [&](uint32_t expert, uint32_t device, uint32_t left) {
        if (expert == given.tokens.size()) {
            best = given.end(shares) <= limit * (1 + 1e-9) ? std::min(best, given.sent(shares)) : best;
            return;
        }
        if (left == 0) {
            choose(expert + 1, 0, expert + 1 < given.tokens.size() ? given.tokens[expert + 1] : 0);
            return;
        }
        if (device == 3) {
            return;
        }
        for (uint32_t part = 0; part <= (has(given.placement[expert], device) ? left : 0); part++) {
            if (part > 0) {
                shares.push_back({ expert, device, part });
            }
            choose(expert, device + 1, left - part);
            if (part > 0) {
                shares.pop_back();
            }
        }
    };
    choose(0, 0, given.tokens[0]);
    return best;
}

void tokens_take_the_cheaper_link_where_that_costs_no_time() {
    std::mt19937 random(32);
    double       before = 0, own = 0, best = 0;
    for (int round = 0; round < 300; round++) {
        const split_case given  = random_case(random);
        const auto       shares = given.split();
        const double     end    = given.end(shares);
        const auto       moved  = prefer_links(shares, given.placement, given.costs, given.links, end);
        std::vector<uint32_t> done(given.tokens.size(), 0);
        for (const token_share & share : moved) {
            CHECK(share.tokens > 0 && has(given.placement[share.expert], share.device));
            done[share.expert] += share.tokens;
        }
        CHECK(done == given.tokens);
        CHECK(given.end(moved) <= end * (1 + 1e-9));
        CHECK(given.sent(moved) <= given.sent(shares) + 1e-9);
        const double least = least_sent(given, end);
        CHECK(given.sent(moved) >= least - 1e-9);
        before += given.sent(shares);
        own += given.sent(moved);
        best += least;
    }
    std::fprintf(stderr, "sent over links: %.0f as split, %.0f with the cheaper ones preferred, %.0f at best\n", before, own, best);
    CHECK(before - own >= 0.9 * (before - best));
    const std::vector<token_share> some = { { 0, 0, 2 }, { 0, 1, 2 } };
    CHECK_EQUAL(prefer_links(some, { 3 }, { { 0, 0, 1 }, { 0, 0, 1 } }, { 1, 1.5 }, 10).size(), 2u);  // links that differ as measurements of equal ones do
    CHECK_EQUAL(prefer_links(some, { 3 }, { { 0, 0, 1 }, { 0, 0, 1 } }, {}, 10).size(), 2u);
}

// The CPU is what the layer waits for: the remote device's tokens go to the near one, which ends earlier all the same.
void a_layer_that_waits_for_another_sends_less() {
    layer_work work;
    work.tokens    = { 100, 8, 8 };
    work.placement = { 0, 3, 3 };
    work.in_ram    = { true, true, true };
    work.devices   = { { 0, 1, 1 }, { 0, 1, 1 } };
    work.cpu       = { 0, 1, 1 };
    work.cpu_helps = false;
    const auto on  = [&](uint32_t device) {
        uint32_t tokens = 0;
        for (const token_share & share : schedule_layer(work)) {
            tokens += share.device == device ? share.tokens : 0;
        }
        return tokens;
    };
    CHECK_EQUAL(on(0), 8u);
    work.links = { away, here };
    CHECK_EQUAL(on(0), 0u);
    CHECK_EQUAL(on(1), 16u);
    work.links = { here, away };
    CHECK_EQUAL(on(0), 16u);
    work.tokens[0] = 0;  // nobody to wait for: it is split evenly
    CHECK_EQUAL(on(0), 8u);
}

// Half of the devices are away: less is sent there, and the balance is what it is without regard to that.
void a_rig_with_remote_devices_sends_less_there() {
    synthetic_load_settings made;
    made.batches       = 120;
    const auto batches = synthetic_loads(made);
    for (const bool reversed : { false, true }) {
        device_replay_settings settings;
        settings.rig = { { 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5 }, std::vector<uint32_t>(8, 16), { here, here, here, here, away, away, away, away } };
        if (reversed) {
            std::reverse(settings.rig.speeds.begin(), settings.rig.speeds.end());
            std::reverse(settings.rig.links.begin(), settings.rig.links.end());
        }
        settings.policy     = "adaptive-anywhere";
        const auto anywhere = replay_on_devices(batches, settings, [] {});
        settings.policy     = "adaptive";
        const auto near     = replay_on_devices(batches, settings, [] {});
        std::fprintf(stderr, "rows over slow links: %.2f%%, with regard to links %.2f%%; balance %.4f, %.4f\n", anywhere.slow_rows * 100, near.slow_rows * 100, anywhere.balance_mean,
                     near.balance_mean);
        CHECK(near.slow_rows < anywhere.slow_rows);
        CHECK(near.balance_mean < anywhere.balance_mean + 0.002);
    }
}

}  // namespace

int main() {
    a_spare_copy_goes_to_the_nearer_device();
    a_copy_too_many_leaves_the_remote_device();
    the_bottleneck_gives_to_the_nearer_device();
    links_of_equal_ones_change_nothing_and_a_bad_link_is_refused();
    tokens_take_the_cheaper_link_where_that_costs_no_time();
    a_layer_that_waits_for_another_sends_less();
    a_rig_with_remote_devices_sends_less_there();
    return moebius_test::check_result();
}
