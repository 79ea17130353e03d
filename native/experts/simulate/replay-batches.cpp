#include "replay-batches.h"

#include "router/observer.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace moebius {

namespace {

// Records in the order in which sequences began, each sequence's own in the order of the file.
std::vector<const trace_record *> one_after_the_other(const routing_trace & trace) {
    std::unordered_map<uint32_t, size_t>                 rank;
    std::vector<std::pair<size_t, const trace_record *>> ranked;
    for (const trace_record & record : trace.records) {
        ranked.emplace_back(rank.emplace(record.sequence, rank.size()).first->second, &record);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto & a, const auto & b) { return a.first < b.first; });
    std::vector<const trace_record *> records;
    for (const auto & [ignored, record] : ranked) {
        records.push_back(record);
    }
    return records;
}

}  // namespace

replay_batches::replay_batches(const routing_trace & trace, uint32_t prompt_batch)
    : layer_count(trace.shape.layer_count()),
      expert_count(trace.shape.expert_count),
      used_count(trace.shape.expert_used_count),
      starts{ 0 },
      place(trace.shape.expert_count, 0) {
    const trace_record * before = nullptr;
    for (const trace_record * record : one_after_the_other(trace)) {
        const bool     prompt = before == nullptr || before->sequence != record->sequence || record->first_position == 0;
        const uint32_t step   = prompt ? prompt_batch : 1;
        for (uint32_t first = 0; first < record->tokens; first += std::min(step, record->tokens - first)) {
            prompt_starts.push_back(prompt && first == 0);
            add(*record, first, std::min(step, record->tokens - first));
        }
        before = record;
    }
}

void replay_batches::add(const trace_record & record, uint32_t first, uint32_t tokens) {
    token_counts.push_back(tokens);
    for (uint32_t layer = 0; layer < layer_count; layer++) {
        const size_t before = uses.size();
        for (uint32_t token = first; token < first + tokens; token++) {
            const size_t cell = (size_t(token) * layer_count + layer) * used_count;
            for (size_t i = cell; i < cell + used_count; i++) {
                const uint16_t expert = record.experts[i];
                if (expert == observed_routes::not_computed) {
                    continue;
                }
                if (place[expert] <= before) {
                    uses.push_back({ expert, 0, 0.0f });
                    place[expert] = uses.size();
                }
                expert_use & use = uses[place[expert] - 1];
                use.tokens++;
                use.weight += record.weights[i];
            }
        }
        starts.push_back(uses.size());
    }
}

double replay_batches::tokens(uint32_t batch, uint32_t layer) const {
    const uint64_t chosen = std::accumulate(begin(batch, layer), end(batch, layer), uint64_t(0), [](uint64_t sum, const expert_use & use) { return sum + use.tokens; });
    return double(chosen) / used_count;
}

uint64_t replay_batches::tokens() const {
    return std::accumulate(token_counts.begin(), token_counts.end(), uint64_t(0));
}

}  // namespace moebius
