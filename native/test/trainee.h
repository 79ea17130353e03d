// A small base with everything that is trained of it: losses against stock llama.cpp's, gradients against differences of losses.
#pragma once

#include "check.h"
#include "train/adapter/new-adapter.h"
#include "train/pass/pass.h"

#include <string>
#include <vector>

namespace moebius_test {

using namespace moebius;

// Losses of some units in F32, computed in another order of sums than llama.cpp's.
constexpr double loss_tolerance = 2e-5;
// Central differences of losses in F32: a loss is known to about 1e-6 (their sum to what is said here), a difference of 2e-2 in a direction of steepest ascent changes it by 1e-2 and more.
// Closer looks at gradients are train-reference-test's.
constexpr double gradient_tolerance = 2e-3;
constexpr double loss_rounding      = 2e-6;

// Random tokens in sequences of these lengths, of which all but the first two are learnt.
token_batch batch_of(const std::vector<int64_t> & lengths);

// -log of the probability of each label, by llama.cpp.
std::vector<double> stock_losses(const std::string & path, const token_batch & batch);

double largest_difference(const std::vector<double> & x, const std::vector<float> & y);

// A base, what is trained of it, and passes through both on the CPU with one thread.
struct trainee {
    gguf_model file;
    base_shape shape;
    adapter    trained;
    train_pass pass;
    routing_plan plan = {};  // of objective() and slopes

    // rooms: of routed experts, none: all stay. activation_bytes: as pass_devices has it
    trainee(const std::string & path, const adapter_settings & settings, const std::vector<copies_room> & rooms = {}, std::optional<uint64_t> activation_bytes = std::nullopt);

    static ggml_backend_dev_t cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }

    // All but nothing of the adapter is 0.
    void disturb();

    // `routes`: who went where.
    double objective(const token_batch & batch, const router_loss_factors & factors, std::vector<std::vector<int64_t>> & routes);

    // How fast the objective rises along `direction` [values of the parameter], of length 1: a central difference over `reach` each way, or over less, which it then is, where a router would
    // choose others.
    double slope(size_t parameter, const std::vector<float> & direction, double & reach, const token_batch & batch, const router_loss_factors & factors);
};

// The gradients of loss and router losses, of every parameter, disturbed: the objective rises along each as fast as it is long.
void check_slopes(const std::string & name, trainee & of, const token_batch & batch, const router_loss_factors & factors);

// Losses and gradients are the same to the bit with activations of all layers kept, of one, and of none. The base has two layers or more.
void check_kept_activations(const std::string & path, const adapter_settings & settings, const router_loss_factors & factors, const routing_plan & plan = {});

// Experts' parts of what is trained of base tensors with `part` in their names: those that no token used have a gradient of exactly 0, and there are some of both kinds.
void check_unused_parts(trainee & of, const pass_result & result, const std::string & part);

}  // namespace moebius_test
