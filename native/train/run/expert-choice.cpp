#include "expert-choice.h"

#include "rpc/errors.h"
#include "train/data/packing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moebius {

namespace {

std::vector<int32_t> most_of(const std::vector<double> & affinities, double whole, double top_p) {
    std::vector<int32_t> order(affinities.size()), chosen;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return affinities[size_t(a)] > affinities[size_t(b)]; });
    double sum = 0;
    for (const int32_t expert : order) {
        if (sum >= top_p * whole || affinities[size_t(expert)] <= 0) {
            break;
        }
        sum += affinities[size_t(expert)];
        chosen.push_back(expert);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// The paper's average gate score and token selection ratio, but for a factor that is the same for all experts of a layer.
void add_affinities(std::vector<std::vector<double>> & sum, const pass_result & seen, affinity_kind by) {
    sum.resize(seen.expert_tokens.size());
    for (size_t layer = 0; layer < sum.size(); layer++) {
        const std::vector<int64_t> & tokens  = seen.expert_tokens[layer];
        const std::vector<double> &  weights = seen.expert_weights[layer];
        sum[layer].resize(tokens.size(), 0.0);
        for (size_t expert = 0; expert < tokens.size(); expert++) {
            sum[layer][expert] += by == affinity_kind::gate ? weights[expert] : double(tokens[expert]);
        }
    }
}

}  // namespace

expert_choice choose_by_affinity(const std::vector<std::vector<double>> & affinities, double top_p) {
    expert_choice choice;
    for (const std::vector<double> & of_layer : affinities) {
        const double whole = std::accumulate(of_layer.begin(), of_layer.end(), 0.0);
        if (!std::isfinite(whole)) {
            throw user_error("file.corrupt", "The model's routers weigh experts with what is no number, so none can be chosen. Check the model (moebius eval), or name experts.");
        }
        choice.experts.push_back(most_of(of_layer, whole, top_p));
        choice.affinities.emplace_back();
        for (const int32_t expert : choice.experts.back()) {
            choice.affinities.back().push_back(of_layer[size_t(expert)] / whole);
        }
    }
    return choice;
}

std::optional<run_settings> with_chosen_experts(run_settings settings, const std::function<bool(double)> & go_on) {
    const std::optional<affinity_settings> & affinity = settings.adapter.affinity;
    if (!affinity || !settings.adapter.chosen.experts.empty()) {
        return settings;
    }
    const gguf_model file  = gguf_open(settings.model);
    const base_shape shape = base_shape_of(file);
    if (shape.experts == 0) {
        throw user_error("request.invalid", "This model has no experts to choose from; leave adapter.experts out.", { { "architecture", shape.architecture } });
    }
    dataset_file data(settings.data, "train");
    packing      batches({ settings.batch_tokens, packing_settings().look_ahead, settings.seed, true }, packing_source_of(data));
    train_pass   base(file, shape, {}, pass_devices_of(settings.devices, settings.threads, shape.experts));

    std::vector<std::vector<double>> affinities;
    const int64_t                    sample = std::min(affinity->sample_tokens, int64_t(data.tokens()));
    int64_t                          tokens = 0;
    while (batches.cursor().epoch == 0 && tokens < sample) {
        if (!go_on(double(tokens) / double(sample))) {
            return std::nullopt;
        }
        const token_batch batch = read_batch(data, batches.next(), settings.batch_tokens, target_weighting::tokens).batch;
        add_affinities(affinities, base.forward(batch), affinity->by);
        tokens += int64_t(batch.tokens.size());
    }
    settings.adapter.chosen                = choose_by_affinity(affinities, affinity->top_p);
    settings.adapter.chosen.sampled_tokens = tokens;
    return settings;
}

}  // namespace moebius
