// Whole models: losses as stock llama.cpp's, gradients as central differences of the losses, of every architecture that can be trained.
#include "check.h"
#include "model/backends.h"
#include "small-base.h"
#include "trainee.h"
#include "train/export/merge.h"

#include <llama.h>

#include <cstdio>

using namespace moebius;
using namespace moebius_test;

namespace {

adapter_settings everything(const small_base & of) {
    adapter_settings settings;
    settings.attention = settings.experts = settings.shared = settings.router = { 4, 8, false };
    settings.ffn                                                                = { of.dense_layers > 0 ? 4 : 0, 8, false };
    settings.seed                                                               = 3;
    return settings;
}

void losses_are_stocks(const small_base & of, const std::string & path) {
    trainee           all(path, everything(of));  // B is 0: nothing is changed
    const token_batch batch = batch_of({ 21, 13, 21 });
    const double      most  = largest_difference(stock_losses(path, batch), all.pass.forward(batch).row_losses);
    std::fprintf(stderr, "%s: losses within %.1e of stock's\n", of.name.c_str(), most);
    CHECK_NEAR(most, 0, loss_tolerance);
}

// What is trained has in the pass the effect that it has in stock llama.cpp when it is merged.
void losses_of_merged_models_are_stocks(const small_base & of, const std::string & path) {
    adapter_settings settings = everything(of);
    settings.whole_norms      = true;
    trainee           all(path, settings);
    const token_batch batch  = batch_of({ 21, 13 });
    const std::string merged = path + ".merged";
    all.disturb();
    merge_write(all.file, all.trained, merge_type_named("f32"), merged, 1, [](uint64_t, uint64_t) { return true; });
    const auto   losses = all.pass.forward(batch).row_losses;
    const double most = largest_difference(stock_losses(merged, batch), losses), moved = largest_difference(stock_losses(path, batch), losses);
    std::fprintf(stderr, "%s: merged, within %.1e of stock's, %.1e from the base's\n", of.name.c_str(), most, moved);
    CHECK_NEAR(most, 0, loss_tolerance);
    CHECK(moved > 0.1);
    std::remove(merged.c_str());
}

// With what the router's losses add.
void gradients_are_those_of_the_losses(const small_base & of, const std::string & path) {
    trainee all(path, everything(of));
    check_slopes(of.name, all, batch_of({ 9, 6 }), { 0.3f, of.has_sigmoids ? 0 : 0.02f });
}

void experts_without_tokens_have_no_gradient(const small_base & of, const std::string & path) {
    trainee           all(path, everything(of));
    const token_batch batch = batch_of({ 4 });  // four tokens use 8 of 12 at most
    all.disturb();
    check_unused_parts(all, all.pass.forward_backward(batch, {}, all.trained), "_exps");
}

// Of a quantised base the same as of the weights that it stands for.
void quantised_bases_are_their_weights(small_base of) {
    of.type                     = GGML_TYPE_Q8_0;
    const std::string quantised = write_small_base(of);
    trainee           all(quantised, everything(of));
    all.disturb();
    const token_batch batch  = batch_of({ 17, 8 });
    const pass_result result = all.pass.forward_backward(batch, {}, all.trained);
    of.is_dequantised        = true;
    const std::string plain  = write_small_base(of);
    trainee           same(plain, everything(of));
    same.disturb();
    const pass_result expected = same.pass.forward_backward(batch, {}, same.trained);
    CHECK(result.row_losses == expected.row_losses);
    for (size_t p = 0; p < all.trained.parameters.size(); p++) {
        CHECK(all.trained.parameters[p].gradient == same.trained.parameters[p].gradient);
    }
    std::remove(quantised.c_str());
    std::remove(plain.c_str());
}

void what_cannot_be_trained_is_refused(const small_base & of, const std::string & path) {
    trainee     all(path, everything(of));
    token_batch batch = batch_of({ 8 });
    batch.labels[0]   = 1 << 30;
    CHECK_THROWS(all.pass.forward(batch), user_error, error.code == "request.invalid");
    CHECK_THROWS(new_adapter(all.file, {}), user_error, error.code == "request.invalid");
    adapter_settings both = everything(of);
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
            losses_of_merged_models_are_stocks(of, path);
        }
        gradients_are_those_of_the_losses(of, path);
        experts_without_tokens_have_no_gradient(of, path);
        if (&of == &small_bases().front()) {
            what_cannot_be_trained_is_refused(of, path);
        }
        std::remove(path.c_str());
        quantised_bases_are_their_weights(of);
    }
    return check_result();
}
