// Models without experts: losses as stock llama.cpp's, gradients as central differences of the losses, quantised bases, what they cannot be trained with.
#include "check.h"
#include "model/backends.h"
#include "small-base.h"
#include "trainee.h"

#include <llama.h>

#include <cstdio>

using namespace moebius;
using namespace moebius_test;

namespace {

adapter_settings everything() {
    adapter_settings settings;
    settings.attention = settings.ffn = { 4, 8, false };
    settings.whole_norms                = true;
    settings.seed                       = 3;
    return settings;
}

void losses_are_stocks(const small_base & of, const std::string & path) {
    trainee           all(path, everything());  // B is 0: nothing is changed
    const token_batch batch = batch_of({ 21, 13, 21 });
    const pass_result made  = all.pass.forward(batch);
    const double      most  = largest_difference(stock_losses(path, batch), made.row_losses);
    std::fprintf(stderr, "dense %s: losses within %.1e of stock's\n", of.architecture.c_str(), most);
    CHECK_NEAR(most, 0, loss_tolerance);
    CHECK(made.expert_tokens == std::vector<std::vector<int64_t>>(size_t(of.layers)));
}

void gradients_are_those_of_the_losses(const small_base & of, const std::string & path) {
    trainee all(path, everything());
    check_slopes("dense " + of.architecture, all, batch_of({ 9, 6 }), { 0.3f, 0.02f });  // factors of routers that are not there
}

void quantised_bases_are_their_weights(small_base of) {
    of.type                     = GGML_TYPE_Q8_0;
    const std::string quantised = write_small_base(of);
    of.is_dequantised           = true;
    const std::string plain     = write_small_base(of);
    trainee           all(quantised, everything()), same(plain, everything());
    const token_batch batch = batch_of({ 17, 8 });
    for (trainee * each : { &all, &same }) {
        each->disturb();
        each->pass.forward_backward(batch, {}, each->trained);
    }
    for (size_t p = 0; p < all.trained.parameters.size(); p++) {
        CHECK(all.trained.parameters[p].gradient == same.trained.parameters[p].gradient);
    }
    std::remove(quantised.c_str());
    std::remove(plain.c_str());
}

void what_a_dense_model_lacks_is_refused(const std::string & path) {
    const gguf_model file = gguf_open(path);
    const auto       says = [](const char * what) { return [what](const user_error & error) { return error.code == "request.invalid" && std::string(error.what()).find(what) != std::string::npos; }; };
    for (lora_settings adapter_settings::* part : { &adapter_settings::experts, &adapter_settings::shared, &adapter_settings::router }) {
        adapter_settings settings = everything();
        settings.*part            = { 4, 8, false };
        CHECK_THROWS(new_adapter(file, settings), user_error, says("no experts and no router")(error));
    }
    adapter_settings settings = everything();
    settings.whole_router     = true;
    CHECK_THROWS(new_adapter(file, settings), user_error, says("no experts and no router")(error));
    CHECK_THROWS(new_adapter(gguf_open(MOEBIUS_TINY_MODEL), everything()), user_error, says("no dense FFN")(error));
}

// Of names that llama.cpp knows only with experts, or only without.
void other_dense_architectures_are_refused(small_base of) {
    of.architecture        = "olmoe";
    const std::string path = write_small_base(of);
    CHECK_THROWS(base_shape_of(gguf_open(path)), user_error, error.code == "model.unsupported" && std::string(error.what()).find("llama and qwen3") != std::string::npos);
    std::remove(path.c_str());
}

}  // namespace

int main() {
    backends_load();
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    for (const small_base & of : dense_bases()) {
        const std::string path = write_small_base(of);
        losses_are_stocks(of, path);
        gradients_are_those_of_the_losses(of, path);
        check_kept_activations(path, everything(), {});
        what_a_dense_model_lacks_is_refused(path);
        std::remove(path.c_str());
        quantised_bases_are_their_weights(of);
        other_dense_architectures_are_refused(of);
    }
    return check_result();
}
