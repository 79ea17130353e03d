#include "load-batches.h"

#include "router/observer.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace moebius {

namespace {

load_batch empty_batch(uint32_t layers, uint32_t experts, uint32_t used) {
    load_batch batch;
    batch.tokens.assign(layers, std::vector<uint32_t>(experts, 0));
    batch.importance.assign(layers, std::vector<double>(experts, 0.0));
    batch.routes.resize(layers);
    batch.used = used;
    return batch;
}

// A token's next expert; below 0: none.
void add_route(load_batch & batch, size_t layer, int32_t expert, double weight) {
    batch.routes[layer].push_back(expert);
    if (expert >= 0) {
        batch.tokens[layer][size_t(expert)]++;
        batch.importance[layer][size_t(expert)] += weight * weight;
    }
}

// Popularities of one layer, as logarithms.
class popularity {
  public:
    popularity(const synthetic_load_settings & settings, std::mt19937 & random) : settings(settings), random(random), logs(settings.experts) { deal(); }

    void deal() {
        for (uint32_t i = 0; i < settings.experts; i++) {
            logs[i] = -settings.skew * std::log(double(i + 1));
        }
        std::shuffle(logs.begin(), logs.end(), random);
    }

    void drift() {
        std::normal_distribution<double> step(0.0, settings.drift);
        for (double & log : logs) {
            log += step(random);
        }
    }

    // Adds `used` distinct experts: the largest of log popularity plus Gumbel noise (sampling without replacement, Gumbel-top-k). Their gate weights are the softmax of these.
    void choose(load_batch & batch, size_t layer, std::vector<std::pair<double, uint32_t>> & keys) {
        std::uniform_real_distribution<double> uniform(1e-12, 1.0);
        keys.resize(logs.size());
        for (uint32_t i = 0; i < logs.size(); i++) {
            keys[i] = { logs[i] - std::log(-std::log(uniform(random))), i };
        }
        std::partial_sort(keys.begin(), keys.begin() + settings.used, keys.end(), std::greater<>());
        double sum = 0;
        for (uint32_t k = 0; k < settings.used; k++) {
            sum += std::exp(keys[k].first - keys[0].first);
        }
        for (uint32_t k = 0; k < settings.used; k++) {
            add_route(batch, layer, int32_t(keys[k].second), std::exp(keys[k].first - keys[0].first) / sum);
        }
    }

  private:
    const synthetic_load_settings & settings;
    std::mt19937 &                  random;
    std::vector<double>             logs;
};

struct token_cells {  // [row][k]
    const uint16_t * experts;
    const float *    weights;
};

std::vector<token_cells> tokens_of(const routing_trace & trace, bool at_once) {
    std::map<uint32_t, std::vector<token_cells>> sequences;
    size_t                                       longest = 0;
    for (const trace_record & record : trace.records) {
        auto & tokens = sequences[at_once ? record.sequence : 0];
        for (uint32_t token = 0; token < record.tokens; token++) {
            const size_t at = size_t(token) * trace.shape.layer_count() * trace.shape.expert_used_count;
            tokens.push_back({ record.experts.data() + at, record.weights.data() + at });
        }
        longest = std::max(longest, tokens.size());
    }
    std::vector<token_cells> stream;
    for (size_t i = 0; i < longest; i++) {
        for (const auto & [sequence, tokens] : sequences) {
            if (i < tokens.size()) {
                stream.push_back(tokens[i]);
            }
        }
    }
    return stream;
}

}  // namespace

std::vector<load_batch> load_batches(const routing_trace & trace, uint32_t batch_tokens, bool at_once) {
    const uint32_t          layers = trace.shape.layer_count(), used = trace.shape.expert_used_count;
    std::vector<load_batch> batches;
    load_batch              batch  = empty_batch(layers, trace.shape.expert_count, used);
    uint32_t                filled = 0;
    for (const token_cells & cells : tokens_of(trace, at_once)) {
        for (uint32_t cell = 0; cell < layers * used; cell++) {
            const bool computed = cells.experts[cell] != observed_routes::not_computed;
            add_route(batch, cell / used, computed ? int32_t(cells.experts[cell]) : -1, computed ? cells.weights[cell] : 0);
        }
        if (++filled == batch_tokens) {
            batches.push_back(std::move(batch));
            batch  = empty_batch(layers, trace.shape.expert_count, used);
            filled = 0;
        }
    }
    return batches;
}

std::vector<load_batch> synthetic_loads(const synthetic_load_settings & settings) {
    std::mt19937                             random(settings.seed);
    std::vector<popularity>                  layers;
    std::vector<std::pair<double, uint32_t>> keys;
    for (uint32_t layer = 0; layer < settings.layers; layer++) {
        layers.emplace_back(settings, random);
    }
    std::vector<load_batch> batches;
    for (uint32_t b = 0; b < settings.batches; b++) {
        batches.push_back(empty_batch(settings.layers, settings.experts, settings.used));
        for (uint32_t layer = 0; layer < settings.layers; layer++) {
            if (settings.topic > 0 && b > 0 && b % settings.topic == 0) {
                layers[layer].deal();
            }
            layers[layer].drift();
            for (uint32_t token = 0; token < settings.batch_tokens; token++) {
                layers[layer].choose(batches.back(), layer, keys);
            }
        }
    }
    return batches;
}

}  // namespace moebius
