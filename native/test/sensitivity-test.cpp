// What is left out for how much harm: steps from gate weights, thresholds within a budget, and the file that keeps them.
#include "check.h"
#include "experts/lossy/sensitivity.h"
#include "experts/policy/miss-substitutes.h"

#include <filesystem>
#include <fstream>

using namespace moebius;

namespace {

void harm_grows_with_the_square_of_what_is_left_out() {
    const std::vector<int32_t> ids{ 0, 1, 2, 3 };
    const std::vector<float>   weights{ 0.6f, 0.4f, 0.9f, 0.1f };
    layer_gates                gates;
    gates.add(expert_unimportance(ids, weights, 2), weights, 2);
    const std::vector<skip_step> steps = gates.steps(0.17);
    CHECK_EQUAL(steps.size(), 21u);
    CHECK(steps[0].above == 1.0 && steps[0].harm == 0.0 && steps[0].skipped == 0.0);
    CHECK_NEAR(steps.back().above, 0.0, 1e-12);
    CHECK_NEAR(steps.back().harm, 0.17, 1e-9);  // as measured
    CHECK_NEAR(steps.back().skipped, 0.5, 1e-9);
    // above 0.8 only the second token's second expert goes: 0.1^2 of 0.4^2 + 0.1^2
    CHECK_NEAR(steps[4].above, 0.8, 1e-9);
    CHECK_NEAR(steps[4].harm, 0.01, 1e-6);
    CHECK_NEAR(steps[4].skipped, 0.25, 1e-9);
}

expert_sensitivity two_layers() {
    expert_sensitivity of;
    of.tokens = 100;
    of.layers = { { 3, { { 1.0, 0.0, 0.0 }, { 0.8, 0.01, 0.2 }, { 0.5, 0.1, 0.4 } } }, { 4, { { 1.0, 0.0, 0.0 }, { 0.8, 0.02, 0.1 }, { 0.5, 0.04, 0.5 } } } };
    of.checks = { { 0.05, 0.04, 0.3 } };
    return of;
}

void takes_what_is_cheapest_within_the_budget() {
    using thresholds = std::vector<double>;
    const expert_sensitivity of = two_layers();
    CHECK(skip_thresholds(of, 0.0) == thresholds({ 1.0, 1.0 }));
    CHECK(skip_thresholds(of, 0.012) == thresholds({ 0.8, 1.0 }));
    CHECK(skip_thresholds(of, 0.051) == thresholds({ 0.8, 0.5 }));  // 0.01 + 0.04
    CHECK(skip_thresholds(of, 1.0) == thresholds({ 0.5, 0.5 }));
    for (double budget = 0.0; budget < 0.2; budget += 0.007) {
        const thresholds chosen = skip_thresholds(of, budget);
        double           harm   = 0.0;
        for (size_t layer = 0; layer < 2; layer++) {
            for (const skip_step & step : of.layers[layer].steps) {
                harm += step.above == chosen[layer] ? step.harm : 0.0;
            }
        }
        CHECK(harm <= budget);
    }
}

void is_kept_for_this_very_model() {
    const auto        folder = std::filesystem::temp_directory_path() / "moebius-sensitivity-test";
    const std::string path   = (folder / "model.gguf.sensitivity").u8string();
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const auto says = [](const char * what) { return [what](const user_error & error) { return std::string(error.what()).find(what) != std::string::npos; }; };
    CHECK_THROWS(sensitivity_read(path, "a"), user_error, says("has not been calibrated")(error) && says("moebius calibrate")(error));
    sensitivity_write(path, "a", two_layers());
    CHECK(sensitivity_to_json(sensitivity_read(path, "a")) == sensitivity_to_json(two_layers()));
    CHECK_THROWS(sensitivity_read(path, "b"), user_error, says("another model")(error));
    std::ofstream(path) << "{\"version\":1,\"fingerprint\":\"a\",\"tokens\":\"many\"}";
    CHECK_THROWS(sensitivity_read(path, "a"), user_error, says("damaged")(error));
    std::ofstream(path) << "{";
    CHECK_THROWS(sensitivity_read(path, "a"), user_error, says("another model")(error));
    std::filesystem::remove_all(folder);
}

}  // namespace

int main() {
    harm_grows_with_the_square_of_what_is_left_out();
    takes_what_is_cheapest_within_the_budget();
    is_kept_for_this_very_model();
    return moebius_test::check_result();
}
