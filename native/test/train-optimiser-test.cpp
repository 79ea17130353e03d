// Optimisers: against loops in double precision, restored in the middle, on several threads. `train-optimiser-test NUMBERS` measures their speed instead.
#include "check.h"
#include "rpc/errors.h"
#include "train/descent/optimiser.h"
#include "trained-numbers.h"

#include <chrono>
#include <cstring>

using namespace moebius_test;

namespace {

using parameters_t = std::vector<train_parameter>;

std::vector<parameter_settings> plain(const parameters_t & parameters) {
    return std::vector<parameter_settings>(parameters.size());
}

optimiser_settings of_kind(optimiser_kind kind) {
    optimiser_settings settings;
    settings.kind = kind;
    if (kind != optimiser_kind::sgd) {
        settings.weight_decay = 0.1;
    }
    return settings;
}

std::vector<optimiser_settings> all_settings() {
    optimiser_settings momentum = of_kind(optimiser_kind::sgd);
    momentum.momentum           = 0.9;
    return { of_kind(optimiser_kind::sgd), momentum, of_kind(optimiser_kind::adamw), of_kind(optimiser_kind::adamw_8bit) };
}

bool same_bits(const parameters_t & a, const parameters_t & b) {
    for (size_t p = 0; p < a.size(); p++) {
        if (std::memcmp(a[p].values.data(), b[p].values.data(), a[p].values.size() * sizeof(float)) != 0) {
            return false;
        }
    }
    return true;
}

void sgd_is_the_value_less_rate_times_gradient_to_the_bit() {
    parameters_t       parameters = made_parameters();
    const parameters_t before     = parameters;
    optimiser          sgd(of_kind(optimiser_kind::sgd), parameters, plain(parameters));
    const double       rate = 0.0123;
    sgd.step(parameters, rate, 1);
    size_t other = 0;
    for (size_t p = 0; p < parameters.size(); p++) {
        for (size_t i = 0; i < parameters[p].values.size(); i++) {
            const volatile float step = float(rate) * before[p].gradient[i];  // rounded by itself
            other += parameters[p].values[i] != before[p].values[i] - step;
        }
    }
    CHECK_EQUAL(other, 0u);
    CHECK_EQUAL(sgd.bytes(), 0u);
}

// One parameter for `steps` steps in double precision.
std::vector<double> reference(const optimiser_settings & s, const parameter_settings & mine, train_parameter parameter, size_t p, uint32_t steps, double rate) {
    std::vector<double> x(parameter.values.begin(), parameter.values.end()), m(x.size(), 0.0), v(x.size(), 0.0);
    rate *= mine.rate_factor;
    for (uint32_t step = 1; step <= steps; step++) {
        parameter.gradient = made_parameter("", parameter.n0, parameter.n1, parameter.n2, 100 * step + uint32_t(p)).gradient;
        for (size_t i = 0; i < x.size(); i++) {
            const double g = parameter.gradient[i];
            x[i] -= mine.is_decayed ? rate * s.weight_decay * x[i] : 0;
            if (s.kind == optimiser_kind::sgd) {
                m[i] = s.momentum * m[i] + g;
                x[i] -= rate * m[i];
            } else {
                m[i] = s.beta1 * m[i] + (1 - s.beta1) * g;
                v[i] = s.beta2 * v[i] + (1 - s.beta2) * g * g;
                x[i] -= rate * m[i] / (1 - std::pow(s.beta1, step)) / (std::sqrt(v[i] / (1 - std::pow(s.beta2, step))) + s.epsilon);
            }
        }
    }
    return x;
}

void steps_are_those_of_double_precision() {
    constexpr uint32_t steps = 20;
    constexpr double   rate  = 0.01;
    for (optimiser_settings settings : all_settings()) {
        if (settings.kind == optimiser_kind::adamw_8bit) {
            continue;  // train-optimiser-8bit-test
        }
        settings.weight_decay                         = 0.1;
        parameters_t                    parameters    = made_parameters();
        const parameters_t              before        = parameters;
        std::vector<parameter_settings> of            = plain(parameters);
        of[1].rate_factor                             = 4;
        of[2].is_decayed                              = false;
        optimiser                       one(settings, parameters, of);
        for (uint32_t step = 1; step <= steps; step++) {
            new_gradients(parameters, step);
            one.step(parameters, rate, 1);
        }
        double worst = 0;
        for (size_t p = 0; p < parameters.size(); p++) {
            const std::vector<double> x = reference(settings, of[p], before[p], p, steps, rate);
            for (size_t i = 0; i < x.size(); i++) {
                worst = std::max(worst, std::fabs(x[i] - double(parameters[p].values[i])));
            }
        }
        CHECK_NEAR(worst, 0, 4e-6);  // values up to 4 have steps of 4.8e-7 between floats: half of that, twice a step, mostly cancelling
        CHECK_EQUAL(one.state().steps, int64_t(steps));
    }
}

void restored_in_the_middle_it_goes_on_to_the_same_bits() {
    for (const optimiser_settings & settings : all_settings()) {
        parameters_t straight = made_parameters();
        optimiser    one(settings, straight, plain(straight));
        parameters_t saved;
        optimiser_state state;
        for (uint32_t step = 1; step <= 8; step++) {
            new_gradients(straight, step);
            one.step(straight, 0.01, 1);
            if (step == 4) {
                saved = straight;
                state = one.state();
            }
        }
        optimiser other(settings, saved, plain(saved));
        other.restore(state);
        for (uint32_t step = 5; step <= 8; step++) {
            new_gradients(saved, step);
            other.step(saved, 0.01, 1);
        }
        CHECK(same_bits(straight, saved));
    }
}

void what_does_not_fit_is_not_restored() {
    const parameters_t parameters = made_parameters();
    optimiser          adamw(of_kind(optimiser_kind::adamw), parameters, plain(parameters)), in_8_bits(of_kind(optimiser_kind::adamw_8bit), parameters, plain(parameters));
    const auto         says = [](const user_error & error, const char * part) { return error.code == "request.invalid" && std::string(error.what()).find(part) != std::string::npos; };
    CHECK_THROWS(adamw.restore(in_8_bits.state()), user_error, says(error, "The saved optimiser is adamw-8bit, this run's is adamw."));
    optimiser_state state = adamw.state();
    state.parameters.pop_back();
    CHECK_THROWS(adamw.restore(state), user_error, says(error, "3 parameters, this run 4"));
    state                    = adamw.state();
    state.parameters[1].name = "other";
    CHECK_THROWS(adamw.restore(state), user_error, says(error, "is other with"));
    state = in_8_bits.state();
    state.parameters[1].second.scales.pop_back();
    CHECK_THROWS(in_8_bits.restore(state), user_error, says(error, "stack"));
    state       = adamw.state();
    state.steps = -1;
    CHECK_THROWS(adamw.restore(state), user_error, says(error, "-1 steps"));
}

void threads_do_not_change_bits() {
    for (const optimiser_settings & settings : all_settings()) {
        std::vector<parameters_t> results;
        for (const int threads : { 1, 2, 3 }) {
            results.push_back(made_parameters());
            optimiser one(settings, results.back(), plain(results.back()));
            for (uint32_t step = 1; step <= 3; step++) {
                new_gradients(results.back(), step);
                one.step(results.back(), 0.01, threads);
            }
        }
        CHECK(same_bits(results[0], results[1]) && same_bits(results[0], results[2]) && !same_bits(results[0], made_parameters()));
    }
}

void usual_settings_decay_matrices_and_speed_up_b() {
    adapter lora;
    lora.parameters = { made_parameter("w.lora_a", 8, 1, 1, 1), made_parameter("w.lora_b", 1, 8, 1, 2), made_parameter("norm", 8, 1, 1, 3), made_parameter("gate_inp", 8, 4, 1, 4) };
    lora.tensors.push_back({ "w", 0, 1, 1, 1, false });
    const std::vector<parameter_settings> of = usual_parameter_settings(lora, 16);
    CHECK(of[0].is_decayed && of[1].is_decayed && !of[2].is_decayed && of[3].is_decayed);
    CHECK(of[0].rate_factor == 1 && of[1].rate_factor == 16 && of[2].rate_factor == 1 && of[3].rate_factor == 1);
}

void settings_that_cannot_be_are_refused() {
    const parameters_t parameters{ made_parameter("a", 4, 4, 1, 1) };
    const auto         refuse = [&](const char * name, optimiser_settings settings, double factor = 1) {
        CHECK_THROWS(optimiser(settings, parameters, { { factor, true } }), user_error, error.code == "request.invalid" && error.details["parameter"] == name);
    };
    const auto with = [](optimiser_kind kind, double optimiser_settings::*member, double value) {
        optimiser_settings settings = of_kind(kind);
        settings.*member            = value;
        return settings;
    };
    refuse("optimiser.weightDecay", with(optimiser_kind::adamw, &optimiser_settings::weight_decay, -0.1));
    refuse("optimiser.weightDecay", with(optimiser_kind::sgd, &optimiser_settings::weight_decay, std::nan("")));
    refuse("optimiser.momentum", with(optimiser_kind::adamw, &optimiser_settings::momentum, 0.9));
    refuse("optimiser.momentum", with(optimiser_kind::sgd, &optimiser_settings::momentum, 1));
    refuse("optimiser.beta1", with(optimiser_kind::adamw, &optimiser_settings::beta1, 1));
    refuse("optimiser.beta2", with(optimiser_kind::adamw_8bit, &optimiser_settings::beta2, -0.5));
    refuse("optimiser.epsilon", with(optimiser_kind::adamw, &optimiser_settings::epsilon, 1e-60));
    refuse("rate_factor", of_kind(optimiser_kind::adamw), -1);
}

double seconds_of(const std::function<void()> & work) {
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        const auto start = std::chrono::steady_clock::now();
        work();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
}

// Best of five steps, beside a memcpy that reads and writes as many bytes as the step must.
void measure(int64_t count) {
    for (const optimiser_settings & settings : { of_kind(optimiser_kind::sgd), of_kind(optimiser_kind::adamw), of_kind(optimiser_kind::adamw_8bit) }) {
        const train_parameter block = made_parameter("x", 1 << 16, 1, 1, 1);
        parameters_t          x{ { "x", count, 1, 1, std::vector<float>(size_t(count)), std::vector<float>(size_t(count)) } };
        for (size_t i = 0; i < size_t(count); i++) {
            x[0].values[i]   = block.values[i & 0xffff];
            x[0].gradient[i] = block.gradient[i & 0xffff];
        }
        optimiser         one(settings, x, plain(x));
        const size_t      moved = 12 * size_t(count) + 2 * one.bytes();  // values there and back, gradients, state there and back
        std::vector<char> from(moved / 2, 1), to(moved / 2, 2);
        for (const int threads : { 1, 2 }) {
            const double step = seconds_of([&] { one.step(x, 1e-4, threads); });
            const double copy = seconds_of([&] { std::memcpy(to.data(), from.data(), from.size()); });
            std::printf("%-10s %lld numbers, %d thread(s): %.2f ns each; memcpy of %.1f bytes each (one thread) %.2f ns; ratio %.2f\n", optimiser_name(settings.kind), (long long) count, threads,
                        step / double(count) * 1e9, double(from.size()) / double(count), copy / double(count) * 1e9, step / copy);
        }
    }
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc > 1) {
        measure(std::atoll(argv[1]));
        return 0;
    }
    sgd_is_the_value_less_rate_times_gradient_to_the_bit();
    steps_are_those_of_double_precision();
    restored_in_the_middle_it_goes_on_to_the_same_bits();
    what_does_not_fit_is_not_restored();
    threads_do_not_change_bits();
    usual_settings_decay_matrices_and_speed_up_b();
    settings_that_cannot_be_are_refused();
    return check_result();
}
