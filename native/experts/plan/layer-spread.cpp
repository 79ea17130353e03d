#include "layer-spread.h"

#include "experts/policy/layer-schedule.h"
#include "experts/policy/replica-counts.h"
#include "experts/policy/replica-placement.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace moebius {

namespace {

constexpr int    spread_draws   = 200;
constexpr double uses_for_even  = 8;  // of an expert by a batch: from then on the mean says enough

struct drawn_batch {
    std::vector<uint32_t> tokens;  // [experts]
    std::vector<bool>     here;    // [experts] the CPU need not read it
};

// The first experts are those that have copies.
class spread_model {
  public:
    explicit spread_model(const spread_question & of) : asked(of), gpu_costs(of.costs.begin() + 1, of.costs.end()), random(20251125) {
        layer_rig rig;
        for (size_t d = 1; d < asked.slots.size(); d++) {
            rig.slots.push_back(std::min(asked.slots[d], asked.experts));
            rig.speeds.push_back(1 / std::max(1e-12, asked.costs[d].per_expert + asked.costs[d].per_token));
        }
        const uint32_t slots = rig.total_slots();
        copied               = std::min(slots, asked.experts);
        placement.assign(asked.experts, 0);
        if (copied > 0) {
            const std::vector<double> even(copied, 1.0);
            const layer_placement     copies = place_packed(even, replica_counts_proportional(even, slots, rig.devices()), rig);
            std::copy(copies.begin(), copies.end(), placement.begin());
        }
    }

    layer_spread mean() {
        const bool   even = double(asked.tokens) * asked.used >= uses_for_even * asked.experts;
        const int    runs = even ? 1 : spread_draws;
        layer_spread sum;
        sum.share.assign(asked.slots.size(), 0.0);
        for (int i = 0; i < runs; i++) {
            add(even ? even_batch() : draw(), 1.0 / runs, sum);
        }
        return sum;
    }

  private:
    double uniform() { return double(random()) / 4294967296.0; }

    bool ram_has_all() const { return asked.slots[0] >= asked.experts; }

    // What lies in RAM besides the experts that have no copy are experts that have one: those that were there at first, for nobody reads them.
    drawn_batch empty_batch() const {
        drawn_batch    batch{ std::vector<uint32_t>(asked.experts, 0), std::vector<bool>(asked.experts, ram_has_all()) };
        const uint32_t in_both = asked.slots[0] + copied > asked.experts ? asked.slots[0] + copied - asked.experts : 0;
        std::fill_n(batch.here.begin(), std::min(in_both, asked.experts), true);
        return batch;
    }

    drawn_batch even_batch() {
        drawn_batch    batch  = empty_batch();
        const uint64_t all    = uint64_t(asked.tokens) * asked.used;
        const uint32_t absent = uint32_t(std::min(asked.missing * asked.experts + 0.5, double(asked.experts - copied)));
        for (uint32_t e = 0; e < asked.experts; e++) {
            batch.tokens[e] = uint32_t(all * (e + 1) / asked.experts - all * e / asked.experts);
            batch.here[e]   = batch.here[e] || (e >= copied && e < asked.experts - absent);
        }
        return batch;
    }

    drawn_batch draw() {
        drawn_batch  batch  = empty_batch();
        const double absent = asked.found < 1 ? std::min(1.0, asked.missing / (1 - asked.found)) : 0.0;
        for (uint32_t t = 0; t < asked.tokens; t++) {
            std::vector<uint32_t> left(asked.experts);
            std::iota(left.begin(), left.end(), 0u);
            uint32_t copies_left = copied;
            for (uint32_t u = 0; u < asked.used; u++) {
                const uint32_t others_left  = uint32_t(left.size()) - copies_left;
                const bool     among_copied = others_left == 0 || (copies_left > 0 && uniform() < asked.found);
                const uint32_t first        = among_copied ? 0 : copies_left;
                const uint32_t of           = among_copied ? copies_left : others_left;
                const uint32_t at           = first + std::min(of - 1, uint32_t(uniform() * of));
                const uint32_t expert       = left[at];
                left.erase(left.begin() + at);
                copies_left -= among_copied;
                if (batch.tokens[expert]++ > 0) {
                    continue;
                }
                if (expert >= copied) {
                    batch.here[expert] = uniform() >= absent;
                }
            }
        }
        return batch;
    }

    void add(const drawn_batch & batch, double weight, layer_spread & sum) const {
        const size_t        cpu = gpu_costs.size();  // lanes: as token_share counts devices
        std::vector<double> experts(2 * cpu + 1, 0.0), tokens(2 * cpu + 1, 0.0);
        double              missing = 0;
        layer_work          work;
        work.tokens    = batch.tokens;
        work.placement = placement;
        work.in_ram    = batch.here;
        work.devices   = gpu_costs;
        work.cpu       = asked.costs[0];
        work.fetching  = fetch_costs();
        for (const token_share & share : schedule_layer(work)) {
            experts[share.device] += 1;
            tokens[share.device] += share.tokens;
            missing += share.device == cpu && !batch.here[share.expert] ? 1 : 0;
        }
        double       longest = cpu_with_disk(asked.costs[0], asked.read, experts[cpu], tokens[cpu], missing);
        const double all     = double(asked.tokens) * asked.used;
        for (size_t g = 0; g < cpu; g++) {
            const size_t fetched = cpu + 1 + g;
            longest = std::max(longest, gpu_costs[g].of(experts[g], tokens[g]));
            longest = std::max(longest, experts[fetched] > 0 ? work.fetching[g]->of(experts[fetched], tokens[fetched]) : 0);
            sum.share[g + 1] += weight * (tokens[g] + tokens[fetched]) / all;
        }
        sum.share[0] += weight * tokens[cpu] / all;
        sum.seconds += weight * longest;
    }

    // A graph for each expert that is fetched.
    std::vector<std::optional<batch_cost>> fetch_costs() const {
        std::vector<std::optional<batch_cost>> all;
        for (size_t g = 0; g < gpu_costs.size() && !asked.upload.empty(); g++) {
            const batch_cost & cost = gpu_costs[g];
            all.push_back(asked.slots[g + 1] > 0 ? std::optional<batch_cost>({ 0, cost.fixed + cost.per_expert + asked.upload[g + 1], cost.per_token }) : std::nullopt);
        }
        return all;
    }

    const spread_question & asked;
    std::vector<batch_cost> gpu_costs;
    std::mt19937            random;  // the same numbers on every platform
    uint32_t                copied = 0;
    layer_placement         placement;
};

}  // namespace

layer_spread spread_layer(const spread_question & question) {
    return spread_model(question).mean();
}

double cpu_with_disk(const batch_cost & cpu, const batch_cost & read, double experts, double tokens, double missing) {
    const double all = cpu.of(experts, tokens);
    if (missing <= 0 || experts <= 0) {
        return all;
    }
    const double last = std::min(missing, 1.0) * (cpu.per_expert + tokens / experts * cpu.per_token);
    return std::max(all, read.of(missing, 0) + last);
}

}  // namespace moebius
