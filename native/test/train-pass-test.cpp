// Whole models: losses as stock llama.cpp's, gradients as central differences of the losses, of every architecture that can be trained.
#include "check.h"
#include "model/backends.h"
#include "small-base.h"
#include "trainee.h"
#include "train/export/merge.h"

#include <llama.h>

#include <algorithm>
#include <cstdio>

using namespace moebius;
using namespace moebius_test;

namespace {

adapter_settings everything(const small_base & of) {
    adapter_settings settings;
    settings.attention = settings.experts = settings.router = { 4, 8, false };
    settings.shared                                         = { of.has_shared ? 4 : 0, 8, false };
    settings.ffn                                            = { of.dense_layers > 0 ? 4 : 0, 8, false };
    settings.seed                                           = 3;
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

adapter_settings both_ends(const small_base & of) {
    adapter_settings settings;
    settings.whole_norms = settings.whole_embedding = true;
    settings.whole_head  = !of.is_tied;
    settings.seed        = 3;
    return settings;
}

bool is_nothing(const train_parameter & parameter) { return std::all_of(parameter.gradient.begin(), parameter.gradient.end(), [](float x) { return x == 0; }); }

// Embedding, norms and head, the last two with and without the first below them.
void both_ends_are_trained(const small_base & of, const std::string & path) {
    trainee           all(path, both_ends(of));
    const token_batch batch = batch_of({ 9, 6 });
    check_slopes(of.name + ", both ends", all, batch, {});
    const train_parameter & embedding = *std::find_if(all.trained.parameters.begin(), all.trained.parameters.end(), [](const train_parameter & each) { return each.name == "token_embd.weight"; });
    std::vector<int32_t> tokens = batch.tokens;
    tokens.erase(tokens.begin() + 8);  // behind a sequence's last token nothing is learnt
    tokens.pop_back();
    for (int64_t token = 0; token < embedding.n1 && !of.is_tied; token++) {  // only rows of the batch's tokens
        const auto row     = embedding.gradient.begin() + token * embedding.n0;
        const bool is_used = std::count(tokens.begin(), tokens.end(), int32_t(token)) > 0;
        CHECK(is_used == std::any_of(row, row + embedding.n0, [](float x) { return x != 0; }));
    }
    const std::string merged = path + ".merged";
    merge_write(all.file, all.trained, merge_type_named("f32"), merged, 1, [](uint64_t, uint64_t) { return true; });
    const auto losses = all.pass.forward(batch).row_losses;
    CHECK_NEAR(largest_difference(stock_losses(merged, batch), losses), 0, loss_tolerance);
    CHECK(largest_difference(stock_losses(path, batch), losses) > 0.1);
    CHECK_NEAR(largest_difference(stock_losses(path, batch), all.pass.forward(batch, false).row_losses), 0, loss_tolerance);  // without what is trained
    std::remove(merged.c_str());

    adapter_settings last;
    last.whole_head = true;
    if (of.is_tied) {
        CHECK_THROWS(new_adapter(all.file, last), user_error, error.code == "request.invalid" && std::string(error.what()).find("wholeEmbedding") != std::string::npos);
        return;
    }
    trainee head(path, last);  // nothing below it is gone through
    head.pass.forward_backward(batch, {}, head.trained);
    CHECK(head.trained.parameters.size() == 1 && !is_nothing(head.trained.parameters[0]));
}

// With what the router's losses add.
void gradients_are_those_of_the_losses(const small_base & of, const std::string & path, const adapter_settings & settings) {
    trainee all(path, settings);
    check_slopes(of.name, all, batch_of({ 9, 6 }), { 0.3f, of.has_sigmoids ? 0 : 0.02f });
}

adapter_settings everything_with_dropout(const small_base & of) {
    adapter_settings settings = everything(of);
    for (lora_settings * each : { &settings.attention, &settings.experts, &settings.shared, &settings.router }) {
        each->dropout = 0.25f;
    }
    return settings;
}

// The same masks for the same stream, others for another, none where nothing is learnt.
void dropout_is_in_steps_only(const small_base & of, const std::string & path) {
    trainee all(path, everything_with_dropout(of)), plain(path, everything(of));
    all.disturb();
    plain.disturb();
    const token_batch batch = batch_of({ 21, 13 });
    CHECK(all.pass.forward(batch).row_losses == plain.pass.forward(batch).row_losses);
    const auto losses = [&](uint64_t stream) { return all.pass.forward_backward(batch, {}, all.trained, stream).row_losses; };
    const auto first  = losses(1);
    CHECK(first != all.pass.forward(batch).row_losses);
    CHECK(first == losses(1));
    CHECK(first != losses(2));
}

void dense_layers_drop_alike(const small_base & of) {
    const std::string path     = write_small_base(of);
    adapter_settings  settings = everything_with_dropout(of);
    settings.ffn               = settings.attention;
    settings.experts = settings.router = settings.shared = {};
    gradients_are_those_of_the_losses(of, path, settings);
    std::remove(path.c_str());
}

void masks_follow_their_columns() {
    const std::vector<int32_t> columns{ 4, 0, 9 }, others{ 9, 4 };
    const auto                 mask = dropout_mask(7, "blk.0.attn_q.weight", 4096, columns, 0.25f), same = dropout_mask(7, "blk.0.attn_q.weight", 4096, others, 0.25f);
    CHECK(std::equal(same.begin(), same.begin() + 4096, mask.begin() + 2 * 4096) && std::equal(same.begin() + 4096, same.end(), mask.begin()));
    CHECK(mask != dropout_mask(7, "blk.0.attn_k.weight", 4096, columns, 0.25f));
    CHECK(mask != dropout_mask(8, "blk.0.attn_q.weight", 4096, columns, 0.25f));
    const auto zeros = std::count(mask.begin(), mask.end(), 0.0f);
    CHECK_NEAR(double(zeros) / double(mask.size()), 0.25, 0.02);  // 5 standard deviations
    CHECK_EQUAL(size_t(zeros + std::count(mask.begin(), mask.end(), 1 / 0.75f)), mask.size());
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
    masks_follow_their_columns();
    for (const small_base & of : small_bases()) {
        const std::string path = write_small_base(of);
        if (!of.is_fused) {  // llama.cpp reads such files of other architectures
            losses_are_stocks(of, path);
            losses_of_merged_models_are_stocks(of, path);
        }
        gradients_are_those_of_the_losses(of, path, everything(of));
        experts_without_tokens_have_no_gradient(of, path);
        check_kept_activations(path, everything_with_dropout(of), { 0.3f, of.has_sigmoids ? 0 : 0.02f });
        if (&of == &small_bases().front()) {
            what_cannot_be_trained_is_refused(of, path);
            gradients_are_those_of_the_losses(of, path, everything_with_dropout(of));
            dropout_is_in_steps_only(of, path);
            both_ends_are_trained(of, path);
        }
        std::remove(path.c_str());
        quantised_bases_are_their_weights(of);
    }
    small_base tied          = *std::find_if(small_bases().begin(), small_bases().end(), [](const small_base & of) { return of.architecture == "granitemoe"; });  // which scales at both ends
    tied.is_tied             = true;
    const std::string path   = write_small_base(tied);
    both_ends_are_trained(tied, path);
    std::remove(path.c_str());
    dense_layers_drop_alike(dense_bases().front());
    return check_result();
}
