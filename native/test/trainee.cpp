#include "trainee.h"

#include <llama-cpp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

namespace moebius_test {

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

std::vector<double> stock_losses(const std::string & path, const token_batch & batch) {
    ggml_backend_dev_t none             = nullptr;
    llama_model_params model_parameters = llama_model_default_params();
    model_parameters.devices            = &none;
    model_parameters.use_extra_bufts    = false;
    const llama_model_ptr model(llama_model_load_from_file(path.c_str(), model_parameters));
    CHECK(model != nullptr);
    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512;
    parameters.n_threads = parameters.n_threads_batch = 1;  // small models: more would wait for each other
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

double largest_difference(const std::vector<double> & x, const std::vector<float> & y) {
    CHECK_EQUAL(x.size(), y.size());
    double most = 0;
    for (size_t i = 0; i < std::min(x.size(), y.size()); i++) {
        most = std::max(most, std::fabs(x[i] - double(y[i])));
    }
    return most;
}

trainee::trainee(const std::string & path, const adapter_settings & settings, const std::vector<copies_room> & rooms, std::optional<uint64_t> activation_bytes)
    : file(gguf_open(path)), shape(base_shape_of(file)), trained(new_adapter(file, settings)), pass(file, shape, trained, { cpu(), 1, rooms, activation_bytes }) {}

void trainee::disturb() {
    std::mt19937                    random(9);
    std::normal_distribution<float> normal(0, 0.05f);
    for (train_parameter & parameter : trained.parameters) {
        for (float & value : parameter.values) {
            value += normal(random);
        }
    }
    pass.write(trained);
}

double trainee::objective(const token_batch & batch, const router_loss_factors & factors, std::vector<std::vector<int64_t>> & routes) {
    adapter           unused = trained;
    const pass_result result = pass.forward_backward(batch, factors, unused, 0, {}, plan);
    routes                   = result.expert_tokens;
    return result.loss + double(factors.balance) * result.balance + double(factors.z) * result.z;
}

double trainee::slope(size_t parameter, const std::vector<float> & direction, double & reach, const token_batch & batch, const router_loss_factors & factors) {
    const std::vector<float>          at = trained.parameters[parameter].values;
    std::vector<std::vector<int64_t>> routes[2];
    double                            ends[2];
    for (;; reach /= 2) {
        for (const int sign : { 0, 1 }) {
            for (size_t i = 0; i < at.size(); i++) {
                trained.parameters[parameter].values[i] = float(double(at[i]) + (sign ? reach : -reach) * double(direction[i]));
            }
            pass.write(trained);
            ends[sign] = objective(batch, factors, routes[sign]);
        }
        if (routes[0] == routes[1] || reach < 1e-4) {
            break;
        }
    }
    trained.parameters[parameter].values = at;
    pass.write(trained);
    return (ends[1] - ends[0]) / (2 * reach);
}

void check_slopes(const std::string & name, trainee & of, const token_batch & batch, const router_loss_factors & factors) {
    of.disturb();
    of.pass.forward_backward(batch, factors, of.trained, 0, {}, of.plan);
    double worst = 0;
    for (size_t p = 0; p < of.trained.parameters.size(); p++) {
        std::vector<float> direction = of.trained.parameters[p].gradient;
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
        const double slope   = of.slope(p, direction, reach, batch, factors), error = std::fabs(slope - length) / length;
        const double allowed = gradient_tolerance + loss_rounding / (reach * length);
        worst                = std::max(worst, error);
        if (error > allowed) {
            std::fprintf(stderr, "%s: along the gradient the loss rises by %g, not %g\n", of.trained.parameters[p].name.c_str(), slope, length);
        }
        CHECK(error <= allowed);
    }
    std::fprintf(stderr, "%s: slopes along %zu gradients within %.1e of their lengths\n", name.c_str(), of.trained.parameters.size(), worst);
}

void check_kept_activations(const std::string & path, const adapter_settings & settings, const router_loss_factors & factors, const routing_plan & plan) {
    const auto pass_with = [&](uint64_t bytes) {
        auto of = std::make_unique<trainee>(path, settings, std::vector<copies_room>(), bytes);
        of->disturb();
        return of;
    };
    const token_batch batch = batch_of({ 17, 8 });
    auto              none = pass_with(0), all = pass_with(UINT64_MAX);
    const pass_result expected = none->pass.forward_backward(batch, factors, none->trained, 3, {}, plan);
    pass_result       kept     = all->pass.forward_backward(batch, factors, all->trained, 3, {}, plan);
    CHECK_EQUAL(expected.kept_layers, 0);
    CHECK_EQUAL(kept.kept_layers, all->shape.layers);
    std::unique_ptr<trainee> one;
    pass_result              partly;
    for (uint64_t bytes = 1 << 14; partly.kept_layers == 0; bytes += bytes / 2) {
        one    = pass_with(bytes);
        partly = one->pass.forward_backward(batch, factors, one->trained, 3, {}, plan);
    }
    CHECK_EQUAL(partly.kept_layers, 1);
    for (const auto & [of, result] : { std::pair(&all, &kept), std::pair(&one, &partly) }) {
        CHECK(result->row_losses == expected.row_losses);
        CHECK(result->balance == expected.balance && result->z == expected.z);
        for (size_t p = 0; p < none->trained.parameters.size(); p++) {
            CHECK((*of)->trained.parameters[p].gradient == none->trained.parameters[p].gradient);
        }
        for (train_parameter & parameter : (*of)->trained.parameters) {
            std::fill(parameter.gradient.begin(), parameter.gradient.end(), 0.0f);
        }
        (*of)->pass.forward_backward(batch, factors, (*of)->trained, 3, {}, plan);  // in the same memory again
        CHECK((*of)->trained.parameters[0].gradient == none->trained.parameters[0].gradient);
    }
}

void check_unused_parts(trainee & of, const pass_result & result, const std::string & part) {
    uint32_t idle = 0, moved = 0;
    for (const adapted_tensor & tensor : of.trained.tensors) {
        int layer = 0;
        if (tensor.base.find(part) == std::string::npos || std::sscanf(tensor.base.c_str(), "blk.%d.", &layer) != 1) {
            continue;
        }
        for (const size_t index : { tensor.a, tensor.b }) {
            const train_parameter & stack = of.trained.parameters[index];
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

}  // namespace moebius_test
