#include "sensitivity.h"

#include "experts/layout/file-writer.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace moebius {

namespace {

constexpr int sensitivity_version = 1;

json step_to_json(const skip_step & step) {
    return { { "above", step.above }, { "harm", step.harm }, { "skipped", step.skipped } };
}

expert_sensitivity sensitivity_from_json(const json & value) {
    expert_sensitivity result;
    result.tokens = value.at("tokens").get<uint64_t>();
    for (const json & layer : value.at("layers")) {
        result.layers.push_back({ layer.at("layer").get<int32_t>(), {} });
        for (const json & step : layer.at("steps")) {
            result.layers.back().steps.push_back({ step.at("above").get<double>(), step.at("harm").get<double>(), step.at("skipped").get<double>() });
        }
    }
    for (const json & check : value.at("checks")) {
        result.checks.push_back({ check.at("budget").get<double>(), check.at("harm").get<double>(), check.at("skipped").get<double>() });
    }
    return result;
}

[[noreturn]] void refuse(const std::string & what) {
    throw user_error("request.invalid", "lossyExperts: leaving experts out needs to know which layers mind it, and " + what + ". Calibrate it first: moebius calibrate MODEL --text FILE.",
                     { { "parameter", "lossyExperts" } });
}

}  // namespace

void layer_gates::add(const std::vector<double> & unimportance, const std::vector<float> & weights, int64_t used) {
    for (size_t first = 0; first < unimportance.size(); first += size_t(used)) {
        double total = 0.0;
        for (size_t i = first; i < first + size_t(used); i++) {
            total += double(weights[i]);
        }
        for (size_t step = 0; step <= grid; step++) {
            const double above = 1.0 - double(step) / grid;
            double       share = 0.0;
            for (size_t i = first; i < first + size_t(used); i++) {
                if (unimportance[i] > above) {
                    share += total > 0.0 ? double(weights[i]) / total : 0.0;
                    dropped[step]++;
                }
            }
            squares[step] += share * share;
        }
        tokens++;
    }
    assignments += unimportance.size();
}

std::vector<skip_step> layer_gates::steps(double harm) const {
    std::vector<skip_step> result;
    for (size_t step = 0; step <= grid; step++) {
        const double part = squares[grid] > 0.0 ? squares[step] / squares[grid] : 0.0;
        result.push_back({ 1.0 - double(step) / grid, step == 0 ? 0.0 : harm * part, assignments > 0 ? double(dropped[step]) / double(assignments) : 0.0 });
    }
    return result;
}

std::vector<double> skip_thresholds(const expert_sensitivity & of, double budget) {
    std::vector<size_t> at(of.layers.size(), 0);
    double              harm = 0.0;
    for (;;) {
        size_t best = of.layers.size(), best_step = 0;
        double best_worth = 0.0;
        for (size_t layer = 0; layer < of.layers.size(); layer++) {
            const std::vector<skip_step> & steps = of.layers[layer].steps;
            for (size_t step = at[layer] + 1; step < steps.size(); step++) {
                const double more = steps[step].skipped - steps[at[layer]].skipped, cost = std::max(steps[step].harm - steps[at[layer]].harm, 1e-12);
                if (harm + cost <= budget && more / cost > best_worth) {
                    best       = layer;
                    best_step  = step;
                    best_worth = more / cost;
                }
            }
        }
        if (best == of.layers.size()) {
            break;
        }
        harm += of.layers[best].steps[best_step].harm - of.layers[best].steps[at[best]].harm;
        at[best] = best_step;
    }
    std::vector<double> thresholds;
    for (size_t layer = 0; layer < at.size(); layer++) {
        thresholds.push_back(of.layers[layer].steps.empty() ? 1.0 : of.layers[layer].steps[at[layer]].above);
    }
    return thresholds;
}

std::string sensitivity_path_of(const gguf_model & file) {
    return file.files.front() + ".sensitivity";
}

json sensitivity_to_json(const expert_sensitivity & of) {
    json layers = json::array(), checks = json::array();
    for (const layer_sensitivity & layer : of.layers) {
        json steps = json::array();
        for (const skip_step & step : layer.steps) {
            steps.push_back(step_to_json(step));
        }
        layers.push_back({ { "layer", layer.block }, { "steps", std::move(steps) } });
    }
    for (const skip_check & check : of.checks) {
        checks.push_back({ { "budget", check.budget }, { "harm", check.harm }, { "skipped", check.skipped } });
    }
    return { { "tokens", of.tokens }, { "layers", std::move(layers) }, { "checks", std::move(checks) } };
}

void sensitivity_write(const std::string & path, const std::string & fingerprint, const expert_sensitivity & of) {
    json value           = sensitivity_to_json(of);
    value["version"]     = sensitivity_version;
    value["fingerprint"] = fingerprint;
    const std::string text = value.dump(1);
    file_writer       out(path, text.size(), text.size());
    out.write(text.data(), text.size());
    out.publish();
}

expert_sensitivity sensitivity_read(const std::string & path, const std::string & fingerprint) {
    std::ifstream stream(std::filesystem::u8path(path));
    if (!stream) {
        refuse("this model has not been calibrated");
    }
    const json value = json::parse(stream, nullptr, false);
    try {
        if (!value.is_object() || value.at("version") != sensitivity_version || value.at("fingerprint") != fingerprint) {
            refuse(path + " is of another model, or of this one before it was changed or copied");
        }
        return sensitivity_from_json(value);
    } catch (const json::exception &) {
        refuse(path + " is damaged");
    }
}

}  // namespace moebius
