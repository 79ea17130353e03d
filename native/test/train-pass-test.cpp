// Whole models: losses as stock llama.cpp's, gradients as central differences of the losses, of every architecture that can be trained.
#include "check.h"
#include "model/backends.h"
#include "small-base.h"
#include "train/adapter/new-adapter.h"
#include "train/pass/pass.h"

#include <llama-cpp.h>

#include <cmath>
#include <cstdio>
#include <random>

using namespace moebius;
using namespace moebius_test;

namespace {

// Losses of some units in F32, computed in another order of sums than llama.cpp's.
constexpr double loss_tolerance = 2e-5;
// Central differences of losses in F32: a loss is known to about 1e-6 (their sum to what is said here), a difference of 2e-2 in a direction of steepest ascent changes it by 1e-2 and more.
// Closer looks at gradients are train-reference-test's.
constexpr double gradient_tolerance = 2e-3;
constexpr double loss_rounding      = 2e-6;

token_batch batch_of(const std::vector<int64_t> & lengths) {
    token_batch  batch;
    std::mt19937 random(5);
    batch.lengths = lengths;
    for (const int64_t length : lengths) {
        for (int64_t i = 0; i < length; i++) {
            batch.tokens.push_back(int32_t(random() % 300));
            batch.positions.push_back(int32_t(i));
        }
    }
    int32_t begin = 0;
    for (const int64_t length : lengths) {
        for (int32_t i = begin + 2; i + 1 < begin + int32_t(length); i++) {  // the first ones are not learnt
            batch.rows.push_back(i);
            batch.labels.push_back(batch.tokens[size_t(i) + 1]);
            batch.weights.push_back(0.5f + 0.1f * float(i % 3));
        }
        begin += int32_t(length);
    }
    return batch;
}

// -log of the probability of each label, by llama.cpp.
std::vector<double> stock_losses(const std::string & path, const token_batch & batch) {
    ggml_backend_dev_t none             = nullptr;
    llama_model_params model_parameters = llama_model_default_params();
    model_parameters.devices            = &none;
    model_parameters.use_extra_bufts    = false;
    const llama_model_ptr model(llama_model_load_from_file(path.c_str(), model_parameters));
    CHECK(model != nullptr);
    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512;
    parameters.type_k = parameters.type_v = GGML_TYPE_F32;
    parameters.flash_attn_type            = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    const llama_context_ptr context(llama_init_from_model(model.get(), parameters));
    const size_t            vocabulary = size_t(llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
    std::vector<double>     losses;
    size_t                  begin = 0, row = 0;
    for (const int64_t length : batch.lengths) {
        llama_memory_clear(llama_get_memory(context.get()), true);
        llama_batch all = llama_batch_init(int32_t(length), 0, 1);
        for (int64_t i = 0; i < length; i++) {
            all.token[i] = batch.tokens[begin + size_t(i)], all.pos[i] = int32_t(i), all.n_seq_id[i] = 1, all.seq_id[i][0] = 0, all.logits[i] = 1;
        }
        all.n_tokens = int32_t(length);
        CHECK(llama_decode(context.get(), all) == 0);
        for (; row < batch.rows.size() && size_t(batch.rows[row]) < begin + size_t(length); row++) {
            const float * logits = llama_get_logits_ith(context.get(), int32_t(size_t(batch.rows[row]) - begin));
            double        most = -INFINITY, sum = 0;
            for (size_t i = 0; i < vocabulary; i++) {
                most = std::max(most, double(logits[i]));
            }
            for (size_t i = 0; i < vocabulary; i++) {
                sum += std::exp(double(logits[i]) - most);
            }
            losses.push_back(most + std::log(sum) - double(logits[batch.labels[row]]));
        }
        llama_batch_free(all);
        begin += size_t(length);
    }
    return losses;
}

// A base, everything that can be trained of it, and passes through both.
struct trainee {
    gguf_model      file;
    base_shape      shape;
    base_weights    base;
    adapter         trained;
    adapter_tensors tensors;
    train_pass      pass;

    trainee(const std::string & path, const adapter_settings & settings)
        : file(gguf_open(path)), shape(base_shape_of(file)), base(file, shape, cpu()), trained(new_adapter(file, settings)), tensors(trained, cpu()), pass(cpu(), 1, shape, base, tensors) {}

    static ggml_backend_dev_t cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }

    // All but nothing of the adapter is 0.
    void disturb() {
        std::mt19937                    random(9);
        std::normal_distribution<float> normal(0, 0.05f);
        for (train_parameter & parameter : trained.parameters) {
            for (float & value : parameter.values) {
                value += normal(random);
            }
        }
        tensors.write(trained);
    }

    // `routes`: who went where.
    double objective(const token_batch & batch, const router_loss_factors & factors, std::vector<std::vector<int64_t>> & routes) {
        adapter           unused = trained;
        const pass_result result = pass.forward_backward(batch, factors, unused);
        routes                   = result.expert_tokens;
        return result.loss + double(factors.balance) * result.balance + double(factors.z) * result.z;
    }

    // How fast the objective rises along `direction` [values of the parameter], of length 1: a central difference over `reach` each way, or over less, which it then is, where a router would
    // choose others.
    double slope(size_t parameter, const std::vector<float> & direction, double & reach, const token_batch & batch, const router_loss_factors & factors) {
        const std::vector<float>          at = trained.parameters[parameter].values;
        std::vector<std::vector<int64_t>> routes[2];
        double                            ends[2];
        for (;; reach /= 2) {
            for (const int sign : { 0, 1 }) {
                for (size_t i = 0; i < at.size(); i++) {
                    trained.parameters[parameter].values[i] = float(double(at[i]) + (sign ? reach : -reach) * double(direction[i]));
                }
                tensors.write(trained);
                ends[sign] = objective(batch, factors, routes[sign]);
            }
            if (routes[0] == routes[1] || reach < 1e-4) {
                break;
            }
        }
        trained.parameters[parameter].values = at;
        tensors.write(trained);
        return (ends[1] - ends[0]) / (2 * reach);
    }
};

adapter_settings everything() {
    adapter_settings settings;
    settings.attention = settings.experts = settings.shared = settings.router = { 4, 8, false };
    settings.seed                                                               = 3;
    return settings;
}

void losses_are_stocks(const small_base & of, const std::string & path) {
    trainee           all(path, everything());  // B is 0: nothing is changed
    const token_batch batch    = batch_of({ 21, 13, 21 });
    const auto        expected = stock_losses(path, batch);
    const pass_result result   = all.pass.forward(batch);
    double            most     = 0;
    CHECK_EQUAL(expected.size(), result.row_losses.size());
    for (size_t i = 0; i < expected.size(); i++) {
        most = std::max(most, std::fabs(expected[i] - double(result.row_losses[i])));
    }
    std::fprintf(stderr, "%s: losses within %.1e of stock's\n", of.architecture.c_str(), most);
    CHECK_NEAR(most, 0, loss_tolerance);
}

// Along the gradient of each parameter, with what the router's losses add.
void gradients_are_those_of_the_losses(const small_base & of, const std::string & path) {
    trainee                   all(path, everything());
    const token_batch         batch = batch_of({ 9, 6 });
    const router_loss_factors factors{ 0.3f, 0.02f };
    all.disturb();
    all.pass.forward_backward(batch, factors, all.trained);
    double worst = 0;
    for (size_t p = 0; p < all.trained.parameters.size(); p++) {
        std::vector<float> direction = all.trained.parameters[p].gradient;
        double             square    = 0;
        for (const float value : direction) {
            square += double(value) * double(value);
        }
        const double length = std::sqrt(square);
        CHECK(length > 0);
        for (float & value : direction) {
            value = float(double(value) / length);
        }
        double       reach   = 4e-3;
        const double slope   = all.slope(p, direction, reach, batch, factors), error = std::fabs(slope - length) / length;
        const double allowed = gradient_tolerance + loss_rounding / (reach * length);
        worst                = std::max(worst, error);
        if (error > allowed) {
            std::fprintf(stderr, "%s: along the gradient the loss rises by %g, not %g\n", all.trained.parameters[p].name.c_str(), slope, length);
        }
        CHECK(error <= allowed);
    }
    std::fprintf(stderr, "%s: slopes along %zu gradients within %.1e of their lengths\n", of.architecture.c_str(), all.trained.parameters.size(), worst);
}

void experts_without_tokens_have_no_gradient(const std::string & path) {
    trainee           all(path, everything());
    const token_batch batch  = batch_of({ 4 });  // four tokens use 8 of 12 at most
    all.disturb();
    const pass_result result = all.pass.forward_backward(batch, {}, all.trained);
    uint32_t          idle = 0, moved = 0;
    for (const adapted_tensor & tensor : all.trained.tensors) {
        int layer = 0;
        if (tensor.base.find("_exps") == std::string::npos || std::sscanf(tensor.base.c_str(), "blk.%d.", &layer) != 1) {
            continue;
        }
        for (const size_t index : { tensor.a, tensor.b }) {
            const train_parameter & stack = all.trained.parameters[index];
            const size_t            each  = size_t(stack.n0 * stack.n1);
            for (size_t e = 0; e < size_t(stack.n2); e++) {
                const auto   begin = stack.gradient.begin() + ptrdiff_t(e * each);
                const size_t zeros = size_t(std::count(begin, begin + ptrdiff_t(each), 0.0f));
                const bool   used  = result.expert_tokens[size_t(layer)][e] > 0;
                CHECK(used || zeros == each);
                idle += used ? 0 : 1;
                moved += zeros < each ? 1 : 0;
            }
        }
    }
    CHECK(idle > 0 && moved > 0);
}

// Of a quantised base the same as of the weights that it stands for.
void quantised_bases_are_their_weights(small_base of) {
    of.type                     = GGML_TYPE_Q8_0;
    const std::string quantised = write_small_base(of);
    trainee           all(quantised, everything());
    all.disturb();
    const token_batch batch  = batch_of({ 17, 8 });
    const pass_result result = all.pass.forward_backward(batch, {}, all.trained);
    of.is_dequantised        = true;
    const std::string plain  = write_small_base(of);
    trainee           same(plain, everything());
    same.disturb();
    const pass_result expected = same.pass.forward_backward(batch, {}, same.trained);
    CHECK(result.row_losses == expected.row_losses);
    for (size_t p = 0; p < all.trained.parameters.size(); p++) {
        CHECK(all.trained.parameters[p].gradient == same.trained.parameters[p].gradient);
    }
    std::remove(quantised.c_str());
    std::remove(plain.c_str());
}

void what_cannot_be_trained_is_refused(const std::string & path) {
    trainee     all(path, everything());
    token_batch batch = batch_of({ 8 });
    batch.labels[0]   = 1 << 30;
    CHECK_THROWS(all.pass.forward(batch), user_error, error.code == "request.invalid");
    CHECK_THROWS(new_adapter(all.file, {}), user_error, error.code == "request.invalid");
    adapter_settings both = everything();
    both.whole_router     = true;
    CHECK_THROWS(new_adapter(all.file, both), user_error, error.code == "request.invalid");
    small_base strange;
    strange.architecture = "qwen3moe";
    strange.has_shared   = true;  // which that architecture has not
    const std::string odd = write_small_base(strange);
    const gguf_model  file = gguf_open(odd);
    const base_shape  shape = base_shape_of(file);
    CHECK_THROWS(base_weights(file, shape, trainee::cpu()), user_error, error.code == "model.unsupported");
    std::remove(odd.c_str());
}

}  // namespace

int main() {
    backends_load();
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    for (const small_base & of : small_bases()) {
        const std::string path = write_small_base(of);
        if (!of.is_fused) {  // llama.cpp reads such files of other architectures
            losses_are_stocks(of, path);
        }
        gradients_are_those_of_the_losses(of, path);
        experts_without_tokens_have_no_gradient(path);
        if (&of == &small_bases().front()) {
            what_cannot_be_trained_is_refused(path);
        }
        std::remove(path.c_str());
        quantised_bases_are_their_weights(of);
    }
    return check_result();
}
