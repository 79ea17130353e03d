#include "calibrate.h"

#include "experts/lossy/skip-trial.h"
#include "llama-log.h"

#include <cmath>

namespace moebius {

namespace {

constexpr double checked_budgets[] = { 0.003, 0.01, 0.03, 0.1 };  // nats per token

using logits_rows = std::vector<float>;  // [tokens][vocabulary]

class calibration {
  public:
    explicit calibration(loaded_model & model) : model(model), layers(model.experts->store.layout().layers.size()), vocabulary(size_t(llama_vocab_n_tokens(llama_model_get_vocab(model.model.get())))) {
        load_options options   = model.options;
        options.context_length = options.batch = calibration_chunk;
        options.sequences                      = 1;
        llama_context_params parameters        = decode_context_parameters(model.model.get(), options);
        parameters.n_outputs_max               = calibration_chunk;
        const llama_log_scope log;
        context.reset(llama_init_from_model(model.model.get(), parameters));
        if (!context) {
            throw user_error("model.load-failed", "A context of " + std::to_string(calibration_chunk) + " tokens for the calibration could not be created. " + log.first_error("Free some memory."));
        }
    }

    // Logits of a chunk with experts above the thresholds [layers] left out. Gives the share of assignments that were.
    double evaluate(const llama_token * tokens, const std::vector<double> & above, logits_rows & into, const std::function<void(const expert_batch &)> & see = {}) {
        int    status  = 0;
        double skipped = 0.0;
        model.engine->between_batches([&] {
            skip_trial                trial(above, see);
            std::vector<llama_token>  chunk(tokens, tokens + calibration_chunk);
            std::vector<int8_t>       wanted(calibration_chunk, 1);
            llama_batch               batch = llama_batch_get_one(chunk.data(), int32_t(calibration_chunk));
            batch.logits                    = wanted.data();
            llama_memory_clear(llama_get_memory(context.get()), true);
            status = llama_decode(context.get(), batch);
            for (uint32_t i = 0; i < calibration_chunk && status == 0; i++) {
                const float * row = llama_get_logits_ith(context.get(), int32_t(i));
                into.insert(into.end(), row, row + vocabulary);
            }
            skipped = trial.assignments > 0 ? double(trial.skipped) / double(trial.assignments) : 0.0;
        });
        if (status != 0) {
            throw user_error("decode.failed", "llama.cpp could not evaluate the calibration's text (llama_decode returned " + std::to_string(status) + "). " + model.experts->store.error());
        }
        return skipped;
    }

    // Of the distributions that logits mean: mean over the rows of sum p log(p / q), nats.
    double divergence(const logits_rows & p, const logits_rows & q) const {
        double sum = 0.0;
        for (size_t row = 0; row < p.size(); row += vocabulary) {
            const double p_norm = log_of_sum(p.data() + row), q_norm = log_of_sum(q.data() + row);
            for (size_t i = row; i < row + vocabulary; i++) {
                const double log_p = double(p[i]) - p_norm;
                sum += std::exp(log_p) * (log_p - (double(q[i]) - q_norm));
            }
        }
        return sum / (double(p.size()) / double(vocabulary));
    }

    loaded_model & model;
    size_t         layers;

  private:
    double log_of_sum(const float * values) const {
        const double most = *std::max_element(values, values + vocabulary);
        double       sum  = 0.0;
        for (size_t i = 0; i < vocabulary; i++) {
            sum += std::exp(double(values[i]) - most);
        }
        return most + std::log(sum);
    }

    size_t            vocabulary;
    llama_context_ptr context;
};

}  // namespace

expert_sensitivity calibrate(loaded_model & model, const std::vector<llama_token> & tokens, const std::function<void(double)> & go_on) {
    if (!model.experts) {
        throw user_error("request.invalid", "Experts are left out only where some are on disk, and this model's are all loaded. Load it with expertRamBytes to calibrate it.", { { "parameter", "model" } });
    }
    const size_t chunks = std::min<size_t>(tokens.size(), calibration_tokens_most) / calibration_chunk;
    if (chunks < 2) {
        throw user_error("request.invalid", "The text has " + std::to_string(tokens.size()) + " tokens, and a calibration needs at least " + std::to_string(2 * calibration_chunk) + ". Give a longer one.",
                         { { "need", 2 * calibration_chunk }, { "have", tokens.size() } });
    }
    calibration               run(model);
    const size_t              learnt = (chunks + 1) / 2;
    const std::vector<double> none(run.layers, 1.0);
    std::vector<layer_gates>  gates(run.layers);
    std::vector<double>       harms(run.layers, 0.0);
    const double              evaluations = double(learnt * (run.layers + 1) + (chunks - learnt) * (std::size(checked_budgets) + 1));
    double                    done        = 0.0;
    const auto                evaluate    = [&](size_t chunk, const std::vector<double> & above, logits_rows & into, const std::function<void(const expert_batch &)> & see = {}) {
        go_on(done++ / evaluations);
        into.clear();
        return run.evaluate(tokens.data() + chunk * calibration_chunk, above, into, see);
    };
    logits_rows whole, without;
    for (size_t chunk = 0; chunk < learnt; chunk++) {
        evaluate(chunk, none, whole, [&](const expert_batch & batch) { gates[batch.layer].add(expert_unimportance(batch.ids, batch.weights, batch.used), batch.weights, batch.used); });
        for (size_t layer = 0; layer < run.layers; layer++) {
            std::vector<double> above = none;
            above[layer]              = 0.0;
            evaluate(chunk, above, without);
            harms[layer] += std::max(0.0, run.divergence(whole, without)) / double(learnt);
        }
    }
    expert_sensitivity result;
    result.tokens = learnt * calibration_chunk;
    for (size_t layer = 0; layer < run.layers; layer++) {
        result.layers.push_back({ model.experts->store.layout().layers[layer].block, gates[layer].steps(harms[layer]) });
    }
    for (const double budget : checked_budgets) {
        result.checks.push_back({ budget, 0.0, 0.0 });
    }
    for (size_t chunk = learnt; chunk < chunks; chunk++) {
        evaluate(chunk, none, whole);
        for (skip_check & check : result.checks) {
            check.skipped += evaluate(chunk, skip_thresholds(result, check.budget), without) / double(chunks - learnt);
            check.harm += run.divergence(whole, without) / double(chunks - learnt);
        }
    }
    return result;
}

}  // namespace moebius
