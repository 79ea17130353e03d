#include "optimiser.h"

#include "dynamic-code.h"
#include "optimiser-loops.h"
#include "settings.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

void check_optimiser(const optimiser_settings & settings) {
    const bool is_sgd = settings.kind == optimiser_kind::sgd;
    require_setting(std::isfinite(settings.weight_decay) && settings.weight_decay >= 0, "optimiser.weightDecay", settings.weight_decay, "0 or more");
    require_setting(is_sgd || settings.momentum == 0, "optimiser.momentum", settings.momentum, "0 for AdamW, whose beta1 does that");
    require_setting(settings.momentum >= 0 && settings.momentum < 1, "optimiser.momentum", settings.momentum, "0 or more and below 1");
    require_setting(settings.beta1 >= 0 && settings.beta1 < 1, "optimiser.beta1", settings.beta1, "0 or more and below 1");
    require_setting(settings.beta2 >= 0 && settings.beta2 < 1, "optimiser.beta2", settings.beta2, "0 or more and below 1");
    require_setting(std::isfinite(settings.epsilon) && float(settings.epsilon) > 0, "optimiser.epsilon", settings.epsilon, "above 0, also as a float");
}

moment_state in_32_bits(const train_parameter & parameter) {
    return { std::vector<float>(parameter.values.size(), 0.0f), {}, {} };
}

moment_state in_8_bits(const train_parameter & parameter, const dynamic_code & code) {
    return { {}, std::vector<uint8_t>(parameter.values.size(), code.nearest(0)), std::vector<float>(block_count(parameter), 0.0f) };
}

parameter_state state_of(const train_parameter & parameter, const optimiser_settings & settings) {
    switch (settings.kind) {
        case optimiser_kind::sgd:        return { parameter.name, settings.momentum > 0 ? in_32_bits(parameter) : moment_state{}, {} };
        case optimiser_kind::adamw:      return { parameter.name, in_32_bits(parameter), in_32_bits(parameter) };
        case optimiser_kind::adamw_8bit: return { parameter.name, in_8_bits(parameter, dynamic_code::with_sign()), in_8_bits(parameter, dynamic_code::without_sign()) };
    }
    GGML_ABORT("no such optimiser");
}

adamw_factors factors_of(const optimiser_settings & s, int64_t step, double rate, double decay) {
    const double first = 1 - std::pow(s.beta1, double(step)), second = 1 - std::pow(s.beta2, double(step));
    return { float(1 - rate * decay), float(s.beta1), float(1 - s.beta1), float(s.beta2), float(1 - s.beta2), float(rate / first), float(1 / std::sqrt(second)), float(s.epsilon) };
}

bool is_alike(const moment_state & a, const moment_state & b) {
    return a.values.size() == b.values.size() && a.codes.size() == b.codes.size() && a.scales.size() == b.scales.size();
}

size_t bytes_of(const moment_state & moment) {
    return moment.values.size() * sizeof(float) + moment.codes.size() + moment.scales.size() * sizeof(float);
}

}  // namespace

const char * optimiser_name(optimiser_kind kind) {
    switch (kind) {
        case optimiser_kind::sgd:        return "sgd";
        case optimiser_kind::adamw:      return "adamw";
        case optimiser_kind::adamw_8bit: return "adamw-8bit";
    }
    GGML_ABORT("no such optimiser");
}

std::vector<parameter_settings> usual_parameter_settings(const adapter & adapter, double b_rate_factor) {
    std::vector<parameter_settings> settings;
    for (const train_parameter & parameter : adapter.parameters) {
        settings.push_back({ 1, parameter.n1 * parameter.n2 > 1 });
    }
    for (const adapted_tensor & tensor : adapter.tensors) {
        settings[tensor.a].is_decayed = settings[tensor.b].is_decayed = true;  // lora_rank 1 too
        settings[tensor.b].rate_factor                                = b_rate_factor;
    }
    return settings;
}

uint64_t moment_bytes(const optimiser_settings & settings, const std::vector<train_parameter> & parameters) {
    uint64_t sum = 0;
    for (const train_parameter & parameter : parameters) {
        const uint64_t count = uint64_t(parameter.count());
        switch (settings.kind) {
            case optimiser_kind::sgd:        sum += settings.momentum > 0 ? count * sizeof(float) : 0; break;
            case optimiser_kind::adamw:      sum += 2 * count * sizeof(float); break;
            case optimiser_kind::adamw_8bit: sum += 2 * (count + block_count(parameter) * sizeof(float)); break;
        }
    }
    return sum;
}

optimiser::optimiser(const optimiser_settings & settings, const std::vector<train_parameter> & parameters, std::vector<parameter_settings> of)
    : settings(settings), of(std::move(of)), chunks(parameter_chunks(parameters)) {
    check_optimiser(settings);
    GGML_ASSERT(this->of.size() == parameters.size());
    for (const parameter_settings & one : this->of) {
        require_setting(std::isfinite(one.rate_factor) && one.rate_factor >= 0, "rate_factor", one.rate_factor, "0 or more");
    }
    kept.kind = settings.kind;
    for (const train_parameter & parameter : parameters) {
        GGML_ASSERT(parameter.values.size() == size_t(parameter.n0 * parameter.n1 * parameter.n2));
        kept.parameters.push_back(state_of(parameter, settings));
    }
}

void optimiser::update(const parameter_chunk & chunk, train_parameter & parameter, double step_rate) {
    const parameter_settings & mine     = of[chunk.parameter];
    parameter_state &          state    = kept.parameters[chunk.parameter];
    const double               rate     = step_rate * mine.rate_factor, decay = mine.is_decayed ? settings.weight_decay : 0;
    float *                    value    = &parameter.values[chunk.begin];
    const float *              gradient = &parameter.gradient[chunk.begin];
    if (settings.kind == optimiser_kind::sgd && settings.momentum == 0) {
        sgd_update(value, gradient, chunk.count, float(1 - rate * decay), float(rate));
    } else if (settings.kind == optimiser_kind::sgd) {
        momentum_update(value, gradient, &state.first.values[chunk.begin], chunk.count, float(1 - rate * decay), float(rate), float(settings.momentum));
    } else if (settings.kind == optimiser_kind::adamw) {
        adamw_update(value, gradient, &state.first.values[chunk.begin], &state.second.values[chunk.begin], chunk.count, factors_of(settings, kept.steps, rate, decay));
    } else {
        const adamw_factors factors = factors_of(settings, kept.steps, rate, decay);
        for (size_t at = 0; at < chunk.count; at += block_numbers) {
            const size_t first = chunk.begin + at, block = chunk.block + at / block_numbers;
            adamw_update(value + at, gradient + at, { &state.first.codes[first], &state.first.scales[block] }, { &state.second.codes[first], &state.second.scales[block] },
                         std::min(block_numbers, chunk.count - at), factors);
        }
    }
}

void optimiser::step(std::vector<train_parameter> & parameters, double rate, int threads) {
    GGML_ASSERT(parameters.size() == of.size() && std::isfinite(rate) && rate >= 0);
    for (const train_parameter & parameter : parameters) {
        GGML_ASSERT(parameter.gradient.size() == parameter.values.size());
    }
    kept.steps++;
    for_each_chunk(chunks.size(), threads, [&](size_t i) { update(chunks[i], parameters[chunks[i].parameter], rate); });
}

void optimiser::restore(optimiser_state state) {
    if (state.kind != kept.kind) {
        throw user_error("request.invalid", std::string("The saved optimiser is ") + optimiser_name(state.kind) + ", this run's is " + optimiser_name(kept.kind) + ". Choose the saved one, or start a new run from the saved adapter.",
                         { { "saved", optimiser_name(state.kind) }, { "wanted", optimiser_name(kept.kind) } });
    }
    if (state.steps < 0 || state.parameters.size() != kept.parameters.size()) {
        throw user_error("request.invalid", "The saved optimiser has " + std::to_string(state.steps) + " steps and " + std::to_string(state.parameters.size()) + " parameters, this run " + std::to_string(kept.parameters.size()) + ". Resume with what the saved run trained.",
                         { { "steps", state.steps }, { "saved", state.parameters.size() }, { "wanted", kept.parameters.size() } });
    }
    for (size_t i = 0; i < kept.parameters.size(); i++) {
        const parameter_state & saved = state.parameters[i];
        const parameter_state & mine  = kept.parameters[i];
        if (saved.name != mine.name || !is_alike(saved.first, mine.first) || !is_alike(saved.second, mine.second)) {
            throw user_error("request.invalid", "Parameter " + std::to_string(i) + " of the saved optimiser is " + saved.name + " with " + std::to_string(bytes_of(saved.first) + bytes_of(saved.second)) + " bytes of moments, this run's is " + mine.name + " with " +
                                                    std::to_string(bytes_of(mine.first) + bytes_of(mine.second)) + ". Resume with what the saved run trained.",
                             { { "saved", saved.name }, { "wanted", mine.name } });
        }
    }
    kept = std::move(state);
}

size_t optimiser::bytes() const {
    size_t sum = 0;
    for (const parameter_state & parameter : kept.parameters) {
        sum += bytes_of(parameter.first) + bytes_of(parameter.second);
    }
    return sum;
}

}  // namespace moebius
