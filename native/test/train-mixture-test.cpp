// MixLoRA: the op against loops, whole models' gradients as central differences of the losses, losses as stock llama.cpp's of the merged models.
#include "expert-stacks.h"
#include "model/backends.h"
#include "small-base.h"
#include "train-adapters.h"
#include "train/export/adapter-file.h"
#include "train/export/merge.h"
#include "train/export/peft-export.h"
#include "train/graph/ops-mixture.h"
#include "trainee.h"

#include <llama.h>

#include <cstdio>

using namespace moebius;
using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

constexpr size_t experts = 4, used = 2, embd = 8, ff = 6, rank = 3, tokens = 6;
constexpr double scale = 0.5;

// Expert 2 is nobody's; token 3 takes one expert.
const std::vector<int32_t> chosen{ 0, 1, 3, 0, 1, 3, 3, -1, 0, 1, 1, 3 };

// The matrix of expert e times x. of: w [n_out][n_in], a [e][rank][n_in], b [e][n_out][rank] from `first` on
numbers expert_product(const std::vector<numbers> & of, size_t first, size_t e, const numbers & x, size_t n_out) {
    const size_t n_in = x.size();
    numbers      y;
    for (size_t o = 0; o < n_out; o++) {
        double sum = 0;
        for (size_t i = 0; i < n_in; i++) {
            double w = of[first][o * n_in + i];
            for (size_t r = 0; r < rank; r++) {
                w += scale * of[first + 2][(e * n_out + o) * rank + r] * of[first + 1][(e * rank + r) * n_in + i];
            }
            sum += w * x[i];
        }
        y.push_back(sum);
    }
    return y;
}

// of: x, weights, gate (w, a, b), up (w, a, b), down (w, a, b)
numbers mixture_output(const std::vector<numbers> & of, const expert_groups & groups) {
    numbers y(tokens * embd, 0.0);
    for (size_t at = 0; at < groups.token.size(); at++) {
        const size_t  t = size_t(groups.token[at]), e = size_t(groups.at[at]) % experts;
        const numbers x(of[0].begin() + ptrdiff_t(t * embd), of[0].begin() + ptrdiff_t((t + 1) * embd));
        numbers       hidden = expert_product(of, 2, e, x, ff);
        const numbers up     = expert_product(of, 5, e, x, ff);
        for (size_t i = 0; i < ff; i++) {
            hidden[i] *= up[i] / (1 + std::exp(-hidden[i]));
        }
        const numbers down = expert_product(of, 8, e, hidden, embd);
        for (size_t i = 0; i < embd; i++) {
            y[t * embd + i] += of[1][at] * down[i];
        }
    }
    return y;
}

void the_op_is_that_of_the_loops(const std::vector<int32_t> & ids) {
    const expert_groups  groups(ids, used, experts);
    std::vector<operand> operands{ { int64_t(embd), int64_t(tokens) }, { 1, int64_t(groups.token.size()) } };
    for (const auto & [n_in, n_out] : { std::pair(embd, ff), std::pair(embd, ff), std::pair(ff, embd) }) {
        operands.push_back({ int64_t(n_in), int64_t(n_out), 1, false });
        operands.push_back({ int64_t(n_in), int64_t(rank), int64_t(experts) });
        operands.push_back({ int64_t(rank), int64_t(n_out), int64_t(experts) });
    }
    expert_ffn    ffn;
    expert_output output;
    check_op({ "mixture of LoRA experts", operands,
               [&](graph_maker & maker, const values & of) {
                   const routing_inputs routing(maker.tape, groups);
                   routing.fill(groups, [&](ggml_tensor * input, const void * data) { maker.keep(input, data); });
                   ffn    = { expert_stack(of, 2, float(scale)), expert_stack(of, 5, float(scale)), expert_stack(of, 8, float(scale)) };
                   output = train_mixture(maker.tape, of[0], of[1], ffn, routing);
                   return output.sum;
               },
               [&](const std::vector<numbers> & of) { return mixture_output(of, groups); },
               [&](graph_maker & maker, const values & of) {
                   for (const size_t first : { 2, 5, 8 }) {
                       add_stack_gradient(maker.tape, of[first + 1], output, &expert_matrices::lora_a, &used_adapter::a, 2);
                       add_stack_gradient(maker.tape, of[first + 2], output, &expert_matrices::lora_b, &used_adapter::b, 2);
                   }
               } });
}

adapter_settings a_mixture(int64_t count = 4) {
    adapter_settings settings;
    settings.attention = { 4, 8, false };
    settings.mixture   = { { 3, 6, true }, count, 2 };
    settings.seed      = 5;
    return settings;
}

void gradients_are_those_of_the_losses(const small_base & of, const std::string & path) {
    trainee all(path, a_mixture());
    check_slopes("mixture on " + of.architecture, all, batch_of({ 9, 6 }), { 0.3f, 0.02f });
    adapter_settings dropping          = a_mixture();
    dropping.mixture.lora.dropout      = 0.25f;
    trainee           dropped(path, dropping);
    const token_batch batch = batch_of({ 9, 6 });
    check_slopes("mixture with dropout on " + of.architecture, dropped, batch, { 0.3f, 0.02f });
    CHECK(dropped.pass.forward_backward(batch, {}, dropped.trained, 1).row_losses != dropped.pass.forward_backward(batch, {}, dropped.trained, 2).row_losses);
}

void experts_without_tokens_have_no_gradient(const std::string & path) {
    trainee all(path, a_mixture(12));
    all.disturb();
    check_unused_parts(all, all.pass.forward_backward(batch_of({ 4 }), {}, all.trained), "ffn_");
}

// b is 0, and the weights of a token's experts add up to 1.
void a_new_mixture_changes_nothing(const std::string & path) {
    trainee           all(path, a_mixture());
    const token_batch batch = batch_of({ 21, 13 });
    CHECK_NEAR(largest_difference(stock_losses(path, batch), all.pass.forward(batch).row_losses), 0, loss_tolerance);
    for (const train_parameter & parameter : all.trained.parameters) {
        if (parameter.name == router_name(1)) {
            double square = 0;
            for (const float value : parameter.values) {
                square += double(value) * double(value);
            }
            CHECK_NEAR(std::sqrt(square / double(parameter.values.size())), 0.02, 0.004);  // of 256 numbers
        }
    }
}

void the_merged_model_is_what_was_trained(const small_base & of, const std::string & path, const scratch_folder & folder) {
    trainee           all(path, a_mixture());
    const token_batch batch  = batch_of({ 21, 13, 21 });
    const std::string merged = folder.path("merged.gguf");
    all.disturb();
    merge_write(all.file, all.trained, merge_type_named("f32"), merged, 1, [](uint64_t, uint64_t) { return true; });
    const pass_result made  = all.pass.forward(batch);
    const double      moved = largest_difference(stock_losses(path, batch), made.row_losses), most = largest_difference(stock_losses(merged, batch), made.row_losses);
    std::fprintf(stderr, "mixture on %s: losses within %.1e of stock's of the merged model; the base's are %.1e away\n", of.architecture.c_str(), most, moved);
    CHECK_NEAR(most, 0, loss_tolerance);
    CHECK(moved > 1000 * loss_tolerance);
    const gguf_model model = gguf_open(merged);
    CHECK(model.architecture() == (of.architecture == "llama" ? "llama" : "qwen3moe"));
    CHECK_EQUAL(model.hparam("expert_count", 0), 4);
    CHECK_EQUAL(model.hparam("expert_used_count", 0), 2);
    CHECK(model.find("qwen3.block_count") == nullptr && model.find_tensor("blk.0.ffn_gate.weight") == nullptr);
    // it can be trained as every model with experts, and is the same then
    adapter_settings again;
    again.experts = { 2, 4, false };
    trainee same(merged, again);
    CHECK_NEAR(largest_difference(std::vector<double>(made.row_losses.begin(), made.row_losses.end()), same.pass.forward(batch).row_losses), 0, loss_tolerance);
}

// Weights are rounded to 8 bits once more, and stock rounds activations, too: losses of random weights differ by 0.05 on the mean, where the adapter moves them by 1.
void it_is_quantised_as_asked(small_base of, const scratch_folder & folder) {
    of.type                = GGML_TYPE_Q8_0;
    const std::string path = write_small_base(of), merged = folder.path("merged-q8.gguf");
    {
        trainee           all(path, a_mixture());
        const token_batch batch = batch_of({ 21, 13 });
        all.disturb();
        merge_write(all.file, all.trained, merge_type_named("same"), merged, 2, [](uint64_t, uint64_t) { return true; });
        const gguf_model model = gguf_open(merged);
        CHECK(model.find_tensor("blk.0.ffn_down_exps.weight")->type == GGML_TYPE_Q8_0 && model.find_tensor("blk.0.ffn_gate_inp.weight")->type == GGML_TYPE_F32);
        const pass_result made = all.pass.forward(batch);
        double            sum  = 0;
        const auto        stock = stock_losses(merged, batch);
        for (size_t i = 0; i < stock.size(); i++) {
            sum += std::fabs(stock[i] - double(made.row_losses[i])) / double(stock.size());
        }
        CHECK_NEAR(sum, 0, 0.15);
    }
    std::remove(path.c_str());
}

void what_cannot_be_is_refused(const std::string & path, const scratch_folder & folder) {
    const gguf_model file    = gguf_open(path);
    const adapter    trained = new_adapter(file, a_mixture());
    const auto       merged  = [](const user_error & error) { return error.code == "model.unsupported" && std::string(error.what()).find("Export a merged GGUF") != std::string::npos; };
    CHECK_THROWS(adapter_write(trained, folder.path("adapter.gguf"), GGML_TYPE_F32), user_error, merged(error));
    CHECK_THROWS(peft_write(trained, file, "", folder.path("peft")), user_error, merged(error));
    const auto invalid = [](const user_error & error) { return error.code == "request.invalid"; };
    CHECK_THROWS(new_adapter(gguf_open(MOEBIUS_TINY_MODEL), a_mixture()), user_error, invalid(error));
    adapter_settings settings = a_mixture();
    settings.ffn              = { 4, 8, false };
    CHECK_THROWS(new_adapter(file, settings), user_error, invalid(error));
    settings                      = a_mixture();
    settings.mixture.experts_used = 5;
    CHECK_THROWS(new_adapter(file, settings), user_error, invalid(error));
    settings         = a_mixture();
    settings.mixture = { { 3, 6, false }, 1, 1 };  // llama.cpp takes one expert for none
    CHECK_THROWS(new_adapter(file, settings), user_error, invalid(error));
    adapter other                 = trained;
    other.parameters.back().n1 += 1;  // a router
    CHECK_THROWS(merge_write(file, other, merge_type_named("f32"), folder.path("no.gguf"), 1, [](uint64_t, uint64_t) { return true; }), user_error, invalid(error));
}

}  // namespace

int main() {
    backends_load();
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    const scratch_folder folder("moebius-mixture");
    the_op_is_that_of_the_loops(chosen);
    the_op_is_that_of_the_loops({ 0, 1, 3, 0, 1, 3, 3, 1, 0, 1, 1, 3 });  // every token has two
    for (const small_base & of : dense_bases()) {
        const std::string path = write_small_base(of);
        a_new_mixture_changes_nothing(path);
        gradients_are_those_of_the_losses(of, path);
        experts_without_tokens_have_no_gradient(path);
        check_kept_activations(path, a_mixture(), { 0.3f, 0.02f });
        the_merged_model_is_what_was_trained(of, path, folder);
        it_is_quantised_as_asked(of, folder);
        what_cannot_be_is_refused(path, folder);
        std::remove(path.c_str());
    }
    report_ops();
    return check_result();
}
