// AdamW with 8-bit states: the codes, their error, steps against loops that search all codes, and where descents end.
#include "check.h"
#include "train/descent/dynamic-code.h"
#include "train/descent/optimiser.h"
#include "trained-numbers.h"

using namespace moebius_test;

namespace {

// Also of numbers between codes, of codes themselves, of their middles, and of all sizes.
std::vector<float> numbers_to_code(const dynamic_code & code, bool has_sign) {
    std::vector<float>                     numbers(code.values.begin(), code.values.end());
    std::mt19937                           random(5);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (size_t i = 0; i + 1 < 256; i++) {
        const float middle = float((double(code.values[i]) + double(code.values[i + 1])) / 2);
        for (const float x : { std::nextafter(middle, -2.0f), middle, std::nextafter(middle, 2.0f) }) {
            numbers.push_back(x);
        }
    }
    for (int i = 0; i < 200000; i++) {
        numbers.push_back(float(i % 2 ? uniform(random) : std::pow(10, -12 * uniform(random))));
    }
    if (has_sign) {
        const size_t count = numbers.size();
        for (size_t i = 0; i < count; i++) {
            numbers.push_back(-numbers[i]);
        }
        numbers.push_back(-1);
    } else {
        for (float & x : numbers) {
            x = std::max(x, 0.0f);
        }
    }
    return numbers;
}

double distance(const dynamic_code & code, size_t at, float x) {
    return std::fabs(double(code.values[at]) - double(x));
}

void codes_are_the_nearest(const dynamic_code & code, bool has_sign) {
    size_t other = 0;
    for (const float x : numbers_to_code(code, has_sign)) {
        const size_t chosen = code.nearest(x);
        double       least  = 2;
        for (size_t i = !has_sign && x > 0 ? 1 : 0; i < 256; i++) {
            least = std::min(least, distance(code, i, x));
        }
        other += distance(code, chosen, x) > least + 1.2e-7 * std::fabs(double(x));  // the middle of two codes is rounded to float
        other += !has_sign && x > 0 && chosen == 0;
    }
    CHECK_EQUAL(other, 0u);
    CHECK_EQUAL(code.values[code.nearest(0)], 0.0f);
    CHECK_EQUAL(code.values[255], 1.0f);
    for (size_t i = 0; i + 1 < 256; i++) {
        CHECK(code.values[i] < code.values[i + 1]);
    }
    (void) code.nearest(std::nanf(""));  // no read beside the tables
    (void) code.nearest(-std::numeric_limits<float>::infinity());
}

// Half the distance of two codes of a decade: 0.45 * 10^-d / (fractions / 2^d), plus, at a decade's upper end, half a distance of the decade above.
void errors_are_bounded(const dynamic_code & code, double fractions, bool has_sign) {
    double worst = 0;  // as a share of the bound
    for (const float x : numbers_to_code(code, has_sign)) {
        const double size = std::fabs(double(x));
        if (size < 1e-6 || x < code.values[0]) {
            continue;
        }
        const double decade = std::min(std::floor(-std::log10(size) + 1e-9), 6.0);
        const double part   = 0.9 * std::pow(0.1, decade) / (fractions / std::pow(2, decade));  // of the decade
        const double above  = decade > 0 ? 5 * part : part;                                      // the decade above has parts 5 times as long
        const bool   is_end = size > 10 * std::pow(0.1, decade + 1) - part / 2;
        worst = std::max(worst, distance(code, code.nearest(x), x) / (is_end ? (part + above) / 4 + 1e-9 : part / 2 + part * 1e-3 + 1e-9));
    }
    std::printf("largest error, as a share of its bound: %.4f\n", worst);
    CHECK(worst <= 1.001 && worst > 0.5);
}

uint8_t searched(const dynamic_code & code, double x, bool has_sign) {
    size_t best = !has_sign && x > 0 ? 1 : 0;
    for (size_t i = best; i < 256; i++) {
        if (std::fabs(double(code.values[i]) - x) < std::fabs(double(code.values[best]) - x)) {
            best = i;
        }
    }
    return uint8_t(best);
}

// Codes a moment in blocks that begin anew with each matrix, and decodes it.
void through_codes(const dynamic_code & code, std::vector<double> & moment, size_t matrix, bool has_sign) {
    for (size_t start = 0; start < moment.size(); start += matrix) {
        for (size_t at = start; at < start + matrix; at += 256) {
            const size_t end  = std::min(at + 256, start + matrix);
            double       most = 0;
            for (size_t i = at; i < end; i++) {
                most = std::max(most, std::fabs(moment[i]));
            }
            for (size_t i = at; i < end && most > 0; i++) {
                moment[i] = double(code.values[searched(code, moment[i] / most, has_sign)]) * most;
            }
        }
    }
}

void steps_are_those_of_a_search_of_all_codes() {
    constexpr double             rate = 0.01;
    std::vector<train_parameter> parameters{ made_parameter("stack", 30, 10, 3, 2) };
    std::vector<double>          x(parameters[0].values.begin(), parameters[0].values.end()), m(x.size(), 0.0), v(x.size(), 0.0);
    optimiser_settings           settings;
    settings.kind = optimiser_kind::adamw_8bit;
    optimiser adamw(settings, parameters, { {} });
    size_t    apart = 0;
    for (uint32_t step = 1; step <= 6; step++) {
        new_gradients(parameters, step);
        for (size_t i = 0; i < x.size(); i++) {
            const double g = parameters[0].gradient[i];
            m[i]           = 0.9 * m[i] + 0.1 * g;
            v[i]           = 0.999 * v[i] + 0.001 * g * g;
            x[i] -= rate * m[i] / (1 - std::pow(0.9, step)) / (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8);
        }
        through_codes(dynamic_code::with_sign(), m, 300, true);
        through_codes(dynamic_code::without_sign(), v, 300, false);
        adamw.step(parameters, rate, 1);
    }
    for (size_t i = 0; i < x.size(); i++) {
        apart += std::fabs(x[i] - double(parameters[0].values[i])) > 4e-6;  // as in train-optimiser-test
    }
    CHECK(apart <= 2);  // numbers so near to a middle that float and double round them apart
    CHECK_EQUAL(adamw.state().parameters[0].first.scales.size(), 6u);  // two blocks of each matrix of 300
    CHECK_EQUAL(adamw.bytes(), 2 * (900 + 6 * sizeof(float)));
}

// Half the squared distance of A x from y, and its gradient. A: 96 x 48, rows of sizes 1 to 1/10.
struct least_squares {
    std::vector<double> a, y;

    least_squares() {
        const train_parameter made = made_parameter("", 48, 96, 1, 7, 1);
        a.assign(made.gradient.begin(), made.gradient.end());
        for (size_t row = 0; row < 96; row++) {
            y.push_back(made.values[row]);
        }
    }

    double loss(train_parameter & x) const {
        double sum = 0;
        std::fill(x.gradient.begin(), x.gradient.end(), 0.0f);
        for (size_t row = 0; row < 96; row++) {
            double off = -y[row];
            for (size_t i = 0; i < 48; i++) {
                off += a[row * 48 + i] * double(x.values[i]);
            }
            for (size_t i = 0; i < 48; i++) {
                x.gradient[i] += float(off * a[row * 48 + i]);
            }
            sum += off * off / 2;
        }
        return sum;
    }
};

double loss_after(optimiser_kind kind, int steps) {
    const least_squares problem;
    std::vector<train_parameter>        x{ made_parameter("x", 48, 1, 1, 8) };
    optimiser_settings  settings;
    settings.kind = kind;
    optimiser adamw(settings, x, { {} });
    for (int step = 0; step < steps; step++) {
        problem.loss(x[0]);
        adamw.step(x, 0.05 * (1 - double(step) / steps), 1);
    }
    return problem.loss(x[0]);
}

void eight_bits_reach_the_minimum_too() {
    const double least = loss_after(optimiser_kind::adamw, 3000);
    for (const int steps : { 100, 200, 400, 800, 1600 }) {
        const double of_32 = loss_after(optimiser_kind::adamw, steps), of_8 = loss_after(optimiser_kind::adamw_8bit, steps);
        std::printf("least squares, %d steps: %.6f with 32 bits, %.6f with 8, minimum %.6f\n", steps, of_32, of_8, least);
        CHECK(of_8 - least < 2.5 * (of_32 - least) + 1e-6 * least);  // errors of codes cost some steps on the way, but not the end of it
    }
}

void a_silent_expert_stays_where_8_bits_had_it() {
    // Gradients of four decades, then none: a second moment of 0 beside a first moment above 0 would make steps of first / epsilon
    std::vector<train_parameter> parameters{ made_parameter("stack", 32, 16, 2, 9, 4) };
    optimiser_settings settings;
    settings.kind         = optimiser_kind::adamw_8bit;
    settings.weight_decay = 0.1;
    optimiser adamw(settings, parameters, { {} });
    for (int step = 0; step < 30; step++) {
        const std::vector<train_parameter> before = parameters;
        adamw.step(parameters, 1e-3, 1);
        double most = 0;
        for (size_t i = 0; i < before[0].values.size(); i++) {
            most = std::max(most, std::fabs(double(parameters[0].values[i] - before[0].values[i]) + 1e-4 * double(before[0].values[i])));
        }
        CHECK(most < 3e-3);  // some times the rate: bias correction's, and codes' factor of up to two in the last decade
        std::fill(parameters[0].gradient.begin(), parameters[0].gradient.end(), 0.0f);
    }
}

}  // namespace

int main() {
    codes_are_the_nearest(dynamic_code::with_sign(), true);
    codes_are_the_nearest(dynamic_code::without_sign(), false);
    errors_are_bounded(dynamic_code::with_sign(), 64, true);
    errors_are_bounded(dynamic_code::without_sign(), 128, false);
    steps_are_those_of_a_search_of_all_codes();
    eight_bits_reach_the_minimum_too();
    a_silent_expert_stays_where_8_bits_had_it();
    return check_result();
}
