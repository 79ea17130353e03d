// Which tokens go to which copy of an expert, and where copies are made so that a token's experts are together: against brute force.
#include "check.h"
#include "experts/policy/expert-affinity.h"
#include "experts/policy/replica-controller.h"
#include "experts/policy/replica-placement.h"
#include "experts/simulate/device-replay.h"
#include "made-trace.h"

#include <map>
#include <numeric>

using namespace moebius;

namespace {

struct made_case {
    std::vector<int32_t>     experts;  // [tokens][used]
    uint32_t                 used = 2;
    std::vector<token_share> shares;

    token_routes routes() const { return { experts, used }; }
};

made_case random_case(std::mt19937 & random, uint32_t tokens, uint32_t experts, uint32_t used, uint32_t devices) {
    made_case made;
    made.used = used;
    std::vector<uint32_t> counts(experts, 0), order(experts);
    std::iota(order.begin(), order.end(), 0u);
    for (uint32_t t = 0; t < tokens; t++) {
        std::shuffle(order.begin(), order.end(), random);
        for (uint32_t k = 0; k < used; k++) {
            const bool none = random() % 8 == 0;
            made.experts.push_back(none ? -1 : int32_t(order[k]));
            counts[order[k]] += none ? 0 : 1;
        }
    }
    layer_placement placement;
    for (uint32_t e = 0; e < experts; e++) {
        placement.push_back(1 + random() % ((1u << devices) - 1));
    }
    made.shares = split_tokens(counts, placement, std::vector<double>(devices, 1.0));
    return made;
}

// links: as assign_tokens
double rows_of(const token_routes & routes, const std::vector<uint32_t> & devices, const std::vector<double> & links = {}) {
    double rows = 0;
    for (const device_set set : devices_of_tokens(routes, devices)) {
        for (uint32_t d = 0; d < 8; d++) {
            rows += !has(set, d) ? 0 : links.empty() ? 1 : links[d];
        }
    }
    return rows;
}

std::map<std::pair<uint32_t, uint32_t>, uint32_t> left_of(const std::vector<token_share> & shares) {
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> left;
    for (const token_share & share : shares) {
        left[{ share.expert, share.device }] += share.tokens;
    }
    return left;
}

// The least that rows cost over every way to keep to the shares.
double fewest_rows(const made_case & given, const std::vector<double> & links) {
    auto                  left = left_of(given.shares);
    std::vector<uint32_t> devices(given.experts.size(), 0);
    double                best = INFINITY;
    const std::function<void(size_t)> choose = [&](size_t i) {
        if (i == devices.size()) {
            best = std::min(best, rows_of(given.routes(), devices, links));
        } else if (given.experts[i] < 0) {
            choose(i + 1);
        } else {
            for (uint32_t d = 0; d < 3; d++) {
                const auto share = left.find({ uint32_t(given.experts[i]), d });
                if (share != left.end() && share->second > 0) {
                    share->second--;
                    devices[i] = d;
                    choose(i + 1);
                    share->second++;
                }
            }
        }
    };
    choose(0);
    return best;
}

bool keeps_to(const made_case & given, const std::vector<uint32_t> & devices) {
    auto left = left_of(given.shares);
    for (size_t i = 0; i < devices.size(); i++) {
        if (given.experts[i] >= 0 && left[{ uint32_t(given.experts[i]), devices[i] }]-- == 0) {
            return false;
        }
    }
    return std::all_of(left.begin(), left.end(), [](const auto & share) { return share.second == 0; });
}

void assignments_keep_to_the_shares_and_are_near_the_optimum() {
    std::mt19937   random(5);
    double         own = 0, best = 0, in_order = 0;
    uint32_t       optimal = 0;
    const uint32_t rounds  = 400;
    const std::vector<std::vector<double>> rigs = { {}, { 0, 1, 1 }, { 1, 1, 20 }, { 5, 1, 0 } };
    for (uint32_t round = 0; round < rounds; round++) {
        const made_case             given   = random_case(random, 5, 5, 2, 3);
        const std::vector<double> & links   = rigs[round % rigs.size()];
        const auto                  devices = assign_tokens(given.routes(), given.shares, links);
        CHECK(keeps_to(given, devices));
        CHECK(keeps_to(given, assign_in_order(given.routes(), given.shares)));
        const double rows = rows_of(given.routes(), devices, links), least = fewest_rows(given, links);
        const double simply = rows_of(given.routes(), assign_in_order(given.routes(), given.shares), links);
        CHECK(rows >= least);
        CHECK(rows <= simply);
        own += rows;
        best += least;
        in_order += simply;
        optimal += rows == least ? 1 : 0;
    }
    std::fprintf(stderr, "cost of rows: %.0f, at best %.0f, in order %.0f; optimal in %u of %u\n", own, best, in_order, optimal, rounds);
    CHECK(optimal >= rounds * 95 / 100);
    CHECK(own <= best * 1.01);
    for (int round = 0; round < 20; round++) {  // as large as they come
        const made_case given = random_case(random, 200, 64, 8, 8);
        const auto      devices = assign_tokens(given.routes(), given.shares);
        CHECK(keeps_to(given, devices));
        CHECK(rows_of(given.routes(), devices) < rows_of(given.routes(), assign_in_order(given.routes(), given.shares)));
    }
}

void tokens_in_common_are_counted_and_fade() {
    expert_affinity            affinity(4);
    const std::vector<int32_t> experts = { 0, 1, 1, 0, 2, 3, 0, -1 };
    affinity.observe({ experts, 2 });
    CHECK_EQUAL(affinity.between(0, 1), 2.0);
    CHECK_EQUAL(affinity.between(3, 2), 1.0);
    CHECK_EQUAL(affinity.between(0, 3), 0.0);
    CHECK_EQUAL(affinity.between(1, 1), 0.0);
    CHECK_EQUAL(affinity.share(0, 1), 2.0 / 3);
    CHECK_EQUAL(affinity.share(3, 2), 1.0);
    affinity.fade(0.5);
    CHECK_EQUAL(affinity.share(0, 1), 2.0 / 3);
    affinity.observe({ experts, 2 });
    CHECK_EQUAL(affinity.between(1, 0), 3.0);
}

// Experts 0 and 3 get a second copy, 0 first. Devices 1 and 2 are equally good for it, and its tokens go to one of them anyway: the copy goes where that costs the fewest rows.
void a_copy_goes_where_its_tokens_go() {
    const layer_rig             rig{ { 1, 1, 1 }, { 2, 2, 2 } };
    const layer_placement       now    = { 1, 2, 4, 1 };
    const std::vector<uint32_t> tokens = { 4, 4, 4, 2 };
    for (const int32_t with : { 1, 2 }) {
        const int32_t              apart   = 3 - with;
        const std::vector<int32_t> experts = { 0, with, 0, with, 0, with, 0, with, apart, -1, apart, -1, apart, 3, apart, 3 };
        expert_affinity            affinity(4);
        affinity.observe({ experts, 2 });
        const layer_placement next = place_recounted(now, { 4, 4, 4, 2 }, { 2, 1, 1, 2 }, rig, [&](uint32_t a, uint32_t b) { return affinity.share(a, b); });
        const auto            rows = [&](const layer_placement & placement) {
            return rows_of({ experts, 2 }, assign_tokens({ experts, 2 }, split_tokens(tokens, placement, rig.speeds)));
        };
        const layer_placement together = { device_set(1) | 1u << with, 2, 4, device_set(1) | 1u << apart }, across = { device_set(1) | 1u << apart, 2, 4, device_set(1) | 1u << with };
        CHECK(next == together);
        CHECK(rows(together) < rows(across));
    }
}

// What is learnt from the first half of the tokens holds for the second: experts that work together are put together where that costs no balance.
void held_out_tokens_are_sent_to_fewer_devices() {
    std::vector<load_batch> batches;
    std::mt19937            random(9);
    for (int b = 0; b < 60; b++) {
        load_batch batch;
        batch.used = 4;
        batch.tokens.assign(1, std::vector<uint32_t>(32, 0));
        batch.routes.resize(1);
        for (int t = 0; t < 256; t++) {  // experts in groups of 8 that tokens stay within, some much busier
            const uint32_t        group = std::min(random() % 4, random() % 4);
            std::vector<uint32_t> members(8);
            std::iota(members.begin(), members.end(), 0u);
            std::shuffle(members.begin(), members.end(), random);
            for (int k = 0; k < 4; k++) {
                const uint32_t expert = members[size_t(k)] * 4 + group;
                batch.routes[0].push_back(int32_t(expert));
                batch.tokens[0][expert]++;
            }
        }
        batches.push_back(std::move(batch));
    }
    device_replay_settings settings;
    settings.rig    = { { 1, 1, 1, 1 }, { 16, 16, 16, 16 } };
    settings.window = 1;
    const auto replay = [&](const char * policy) {
        settings.policy = policy;
        return replay_on_devices(batches, settings, [] {});
    };
    const auto fixed = replay("static"), apart = replay("adaptive-apart"), together = replay("adaptive");
    std::fprintf(stderr, "devices a token: static %.3f, apart %.3f, together %.3f; balance %.3f, %.3f, %.3f\n", fixed.devices_per_token, apart.devices_per_token, together.devices_per_token,
                 fixed.balance_mean, apart.balance_mean, together.balance_mean);
    CHECK(together.devices_per_token < 0.97 * apart.devices_per_token);
    CHECK(together.balance_mean < apart.balance_mean + 0.005);
    CHECK(together.copies_moved <= apart.copies_moved * 11 / 10);
}

// Two layers, two tokens of one expert each: 0 and 1 on different devices.
void hops_and_devices_are_counted_as_described() {
    load_batch batch;
    batch.used   = 2;
    batch.tokens = { { 1, 1, 1, 1 }, { 2, 1, 1, 0 } };
    batch.routes = { { 0, 1, 2, 3 }, { 0, 2, 0, 1 } };  // devices: 0; 1. then 0 and 1; 0
    device_replay_settings settings;
    settings.rig    = { { 1, 1 }, { 2, 2 } };
    settings.policy = "static";
    const auto result = replay_on_devices({ batch }, settings, [] {});
    CHECK_EQUAL(result.devices_per_token, 5.0 / 4);
    CHECK_EQUAL(result.hops_per_token, 2.0 / 2);
}

}  // namespace

int main() {
    assignments_keep_to_the_shares_and_are_near_the_optimum();
    tokens_in_common_are_counted_and_fade();
    a_copy_goes_where_its_tokens_go();
    held_out_tokens_are_sent_to_fewer_devices();
    hops_and_devices_are_counted_as_described();
    return moebius_test::check_result();
}
