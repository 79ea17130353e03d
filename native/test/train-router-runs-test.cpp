// Router gradients and drawn numbers of experts in whole small models and in runs: gradients against differences, the same wherever they are computed, the same to the bit behind a checkpoint.
#include "check.h"
#include "model/backends.h"
#include "rpc-servers.h"
#include "rpc/errors.h"
#include "run-fixture.h"
#include "small-base.h"
#include "train/run/checkpoint.h"
#include "trainee.h"

#include <cmath>
#include <cstdio>
#include <numeric>

using namespace moebius;
using namespace moebius_test;

namespace {

adapter_settings with_router() {
    adapter_settings settings;
    settings.attention = settings.experts = { 4, 8, false };
    settings.whole_router                 = true;
    settings.seed                         = 3;
    return settings;
}

const small_base & base_named(const std::string & name) {
    return *std::find_if(small_bases().begin(), small_bases().end(), [&](const small_base & each) { return each.name == name; });
}

// As if steps had been before.
stand_ins some_stand_ins(const base_shape & shape) {
    stand_ins                       made(shape.layers, shape.experts, shape.n_embd, 0.5);
    std::vector<std::vector<float>> state = made.state();
    std::mt19937                    random(3);
    std::normal_distribution<float> normal(0, 0.3f);
    for (std::vector<float> & layer : state) {
        std::generate(layer.begin(), layer.end(), [&] { return normal(random); });
    }
    made.restore(state);
    return made;
}

// Default-MoE's forward pass has a gradient, and that is the one: everything is differentiated but the averages.
void stand_ins_have_the_gradient_of_their_loss(const small_base & of) {
    const std::string path = write_small_base(of);
    trainee           all(path, with_router()), plain(path, with_router());
    stand_ins         averages = some_stand_ins(all.shape);
    all.plan                   = { {}, router_gradient::default_moe, 0, &averages };
    check_slopes(of.name + " with stand-ins", all, batch_of({ 9, 6 }), { 0.3f, 0.02f });
    const auto held = averages.state();
    averages.forget();
    plain.disturb();
    all.pass.forward_backward(batch_of({ 9, 6 }), {}, all.trained, 0, {}, all.plan);
    const pass_result before = plain.pass.forward_backward(batch_of({ 9, 6 }), {}, plain.trained);
    CHECK(averages.state() == held);  // a pass notes, and changes nothing
    stand_ins none(all.shape.layers, all.shape.experts, all.shape.n_embd, 0.5);
    plain.plan = { {}, router_gradient::default_moe, 0, &none };
    CHECK(plain.pass.forward_backward(batch_of({ 9, 6 }), {}, plain.trained, 0, {}, plain.plan).row_losses == before.row_losses);  // of no experts yet: the base
    averages.follow();
    check_kept_activations(path, with_router(), { 0.3f, 0.02f }, { {}, router_gradient::default_moe, 0, &averages });
    std::remove(path.c_str());
}

// An average follows the mean of what was given; that of an expert without tokens stays.
void averages_follow_means() {
    stand_ins averages(1, 2, 3, 0.75);
    averages.note(0, { 1, 2, 3, 0, 0, 0 }, { 2, 0 });
    averages.note(0, { 3, 2, 1, 0, 0, 0 }, { 2, 0 });
    averages.follow();
    CHECK(averages.of_layer(0) == std::vector<float>({ 0.25f, 0, 0.25f, 0, 0.25f, 0 }));
    averages.note(0, { 9, 9, 9, 4, 4, 4 }, { 1, 1 });
    averages.forget();
    averages.follow();
    CHECK(averages.of_layer(0) == std::vector<float>({ 0.25f, 0, 0.25f, 0, 0.25f, 0 }));
    CHECK_THROWS(averages.restore({ { 1 } }), user_error, error.code == "request.invalid");
}

// On two devices: sums in another order.
void stand_ins_are_the_same_on_two_devices() {
    const rpc_servers servers(2);
    const std::string path = write_small_base(base_named("qwen3moe"));
    trainee           one(path, with_router()), two(path, with_router(), { { servers.devices()[0], 4, UINT64_MAX }, { servers.devices()[1], 4, UINT64_MAX } });
    std::vector<std::vector<float>> states;
    for (trainee * const of : { &one, &two }) {
        of->disturb();
        stand_ins averages = some_stand_ins(of->shape);
        for (int i = 0; i < 2; i++) {
            of->pass.forward_backward(batch_of({ 21, 13 }), {}, of->trained, 0, {}, { {}, router_gradient::default_moe, 0, &averages });
            averages.follow();
        }
        states.push_back(averages.of_layer(1));
    }
    const float largest = std::fabs(*std::max_element(states[0].begin(), states[0].end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
    float       most    = 0;
    for (size_t i = 0; i < states[0].size(); i++) {
        most = std::max(most, std::fabs(states[0][i] - states[1][i]));
    }
    std::fprintf(stderr, "stand-ins of two devices are within %.1e of one's\n", double(most / largest));
    CHECK(most < 4e-5f * largest);  // as train-devices-test has it for gradients
    std::remove(path.c_str());
}

// The same draws when a layer is computed again, others for another stream; with nobody in reach, the best ones and straight-through's gradients to the bit.
void draws_are_those_of_the_stream() {
    const std::string  path = write_small_base(base_named("olmoe"));
    const token_batch  batch = batch_of({ 21, 13 });
    const routing_plan draws{ {}, router_gradient::sparse_mixer, 1, nullptr }, best{ {}, router_gradient::sparse_mixer, 0, nullptr };
    check_kept_activations(path, with_router(), { 0.3f, 0.02f }, draws);
    trainee all(path, with_router()), plain(path, with_router());
    all.disturb();
    plain.disturb();
    const auto losses = [&](uint64_t stream) { return all.pass.forward_backward(batch, {}, all.trained, stream, {}, draws).row_losses; };
    const auto first  = losses(1);
    CHECK(first == losses(1) && first != losses(2) && first != plain.pass.forward(batch).row_losses);
    for (trainee * const of : { &all, &plain }) {
        std::for_each(of->trained.parameters.begin(), of->trained.parameters.end(), [](train_parameter & each) { std::fill(each.gradient.begin(), each.gradient.end(), 0.0f); });
    }
    CHECK(all.pass.forward_backward(batch, { 0.3f, 0.02f }, all.trained, 1, {}, best).row_losses == plain.pass.forward_backward(batch, { 0.3f, 0.02f }, plain.trained, 1).row_losses);
    for (size_t p = 0; p < all.trained.parameters.size(); p++) {
        CHECK(all.trained.parameters[p].gradient == plain.trained.parameters[p].gradient);
    }
    std::remove(path.c_str());
}

void layers_use_as_many_experts_as_they_are_told(const small_base & of) {
    const std::string path = write_small_base(of);
    trainee           all(path, with_router());
    const token_batch batch = batch_of({ 21, 13 });
    CHECK(all.pass.forward(batch, true, std::vector<int64_t>(size_t(of.layers), of.used)).row_losses == all.pass.forward(batch).row_losses);
    all.plan.experts_used = of.dense_layers > 0 ? std::vector<int64_t>{ 0, 1, 4 } : std::vector<int64_t>{ 1, 4 };
    const auto routes     = all.pass.forward(batch, true, all.plan.experts_used).expert_tokens;
    for (size_t layer = 0; layer < routes.size(); layer++) {
        CHECK_EQUAL(std::accumulate(routes[layer].begin(), routes[layer].end(), int64_t(0)), 34 * all.plan.experts_used[layer]);
    }
    check_slopes(of.name + " with 1 and 4 experts", all, batch_of({ 9, 6 }), { 0.3f, of.has_sigmoids ? 0 : 0.02f });
    std::remove(path.c_str());
}

void numbers_of_experts_are_drawn_for_each_step_and_layer() {
    base_shape shape;
    shape.layers = 5, shape.dense_layers = 1;
    std::vector<int> seen(5, 0);
    for (uint64_t stream = 0; stream < 500; stream++) {
        const auto counts = drawn_used_counts({ 2, 4, false }, shape, stream);
        CHECK(counts == drawn_used_counts({ 2, 4, false }, shape, stream));
        CHECK(counts.size() == 5 && counts[0] == 0);
        std::for_each(counts.begin() + 1, counts.end(), [&](int64_t count) { seen.at(size_t(count))++; });
    }
    CHECK(seen[2] > 560 && seen[3] > 560 && seen[4] > 560);  // of 2000; 667 each, 5 standard deviations are 105
    CHECK(drawn_used_counts({}, shape, 1).empty());
}

json settings_with(const scratch & room, const json & routers) {
    json settings = settings_of(room.data(), "adamw", 6);
    settings.update(routers);
    return settings;
}

// plain: losses of the same run without them
void it_goes_on_to_the_bit(const scratch & room, const json & routers, const std::vector<double> & plain) {
    const json        settings = settings_with(room, routers);
    train_run         whole(run_settings_of(settings));
    const double      before = whole.validate(always)->loss;
    const std::string path   = (room.folder / "routers.checkpoint").u8string();
    CHECK(steps_of(whole, 3) != std::vector<double>(plain.begin(), plain.begin() + 3));
    checkpoint_write({ settings, whole.state() }, path);
    const auto rest  = steps_of(whole, 3);
    const auto after = whole.validate(always);
    train_run  resumed(run_settings_of(settings));
    resumed.restore(checkpoint_read(path).state);
    CHECK(steps_of(resumed, 3) == rest);
    CHECK(same_values(whole, resumed));
    CHECK(whole.state().stand_ins == resumed.state().stand_ins);
    CHECK(after->loss < before - 0.3);
    for (const validation_report::with_count & each : after->by_used_count) {
        CHECK(std::isfinite(each.loss));
        CHECK(each.used_count != 2 || each.loss == after->loss);  // the model's own number
    }
    std::fprintf(stderr, "%s: validation loss %.3f -> %.3f; resumed behind step 3 the losses are the same to the bit\n", routers.dump().c_str(), before, after->loss);
}

void steps_tell_how_many_experts_they_used(const scratch & room) {
    train_run run(run_settings_of(settings_with(room, { { "expertUsedCount", { { "min", 1 }, { "max", 3 } } } })));
    const auto report = run.step(always);
    for (size_t layer = 0; layer < report->used_counts.size(); layer++) {
        const auto & tokens = report->expert_tokens[layer];
        CHECK_EQUAL(std::accumulate(tokens.begin(), tokens.end(), int64_t(0)), report->tokens * report->used_counts[layer]);
    }
    CHECK(!report->used_counts.empty());
    CHECK(run.validate(always)->by_used_count.empty());
}

// A step that the guardian does not let pass, or that was stopped, leaves averages as they were.
void steps_that_were_not_change_no_average(const scratch & room) {
    const json routers{ { "routerGradient", { { "kind", "default-moe" } } } };
    train_run  run(run_settings_of(settings_with(room, routers))), steady(run_settings_of(settings_with(room, routers)));
    steps_of(run, 1);
    steps_of(steady, 1);
    int asked = 0;
    CHECK(!run.step([&] { return ++asked < 2; }));
    steps_of(run, 1);
    steps_of(steady, 1);
    CHECK(run.state().stand_ins == steady.state().stand_ins);
    run_state state = run.state();
    state.guardian.losses.assign(64, 0.01);
    state.guardian.good = 64;
    run.restore(state);
    CHECK(run.step(always)->verdict.action == guardian_action::roll_back);
    CHECK(run.state().stand_ins == state.stand_ins);
}

void refused(const json & settings, const char * what) {
    CHECK_THROWS(train_run(run_settings_of(settings)), user_error, error.code == "request.invalid" && std::string(error.what()).find(what) != std::string::npos);
}

void what_does_not_go_together_is_refused(const scratch & room) {
    const json sparse{ { "routerGradient", { { "kind", "sparse-mixer" } } } }, standing{ { "routerGradient", { { "kind", "default-moe" } } } };
    refused(settings_with(room, { { "routerGradient", { { "kind", "sparse-mixer" }, { "beta", 0.5 } } } }), "beta");
    refused(settings_with(room, { { "routerGradient", { { "reach", 0.5 } } } }), "reach");
    refused(settings_with(room, { { "expertUsedCount", { { "min", 3 }, { "max", 2 } } } }), "max");
    refused(settings_with(room, { { "expertUsedCount", { { "min", 1 }, { "max", 999 } } } }), "at most");
    json settings = settings_with(room, sparse);
    settings["adapter"].erase("wholeRouter");
    refused(settings, "adapter.router");
    const std::string sigmoids = write_small_base(small_bases().back());
    settings                   = settings_with(room, standing);
    settings["model"]          = sigmoids;
    settings["routerLosses"]   = { { "z", 0 } };
    refused(settings, "sigmoids");
    const std::string dense = write_small_base(dense_bases().front());
    settings                = settings_with(room, standing);
    settings["model"]       = dense;
    settings["adapter"]     = { { "mixture", { { "loraRank", 4 } } } };
    refused(settings, "mixture");
    settings["adapter"] = { { "ffn", { { "loraRank", 4 } } } };
    settings.erase("routerGradient");
    settings["expertUsedCount"] = { { "min", 1 }, { "max", 2 } };
    refused(settings, "no experts");
    train_run run(run_settings_of(settings_of(room.data(), "adamw", 6)));
    run_state state = run.state();
    state.stand_ins = { { 1 } };
    CHECK_THROWS(run.restore(state), user_error, error.code == "request.invalid");
    fs::remove(fs::u8path(sigmoids));
    fs::remove(fs::u8path(dense));
}

// A new router of MixLoRA learns from draws as well.
void a_mixture_draws(const scratch & room) {
    const std::string model    = write_small_base(dense_bases().front());
    json              settings = settings_with(room, { { "routerGradient", { { "kind", "sparse-mixer" }, { "reach", 1 } } }, { "expertUsedCount", { { "min", 1 }, { "max", 3 } } } });
    settings["model"]    = model;
    settings["adapter"]  = { { "mixture", { { "loraRank", 4 }, { "expertCount", 4 } } } };
    settings["schedule"] = { { "steps", 6 }, { "learningRate", 1e-2 } };
    train_run    run(run_settings_of(settings));
    const double before = run.validate(always)->loss;
    steps_of(run, 6);
    CHECK(run.validate(always)->loss < before - 0.1);
    fs::remove(fs::u8path(model));
}

}  // namespace

int main() {
    backends_load();
    averages_follow_means();
    stand_ins_have_the_gradient_of_their_loss(base_named("qwen3moe"));
    stand_ins_have_the_gradient_of_their_loss(base_named("qwen2moe"));
    stand_ins_are_the_same_on_two_devices();
    draws_are_those_of_the_stream();
    numbers_of_experts_are_drawn_for_each_step_and_layer();
    layers_use_as_many_experts_as_they_are_told(base_named("qwen3moe"));
    layers_use_as_many_experts_as_they_are_told(base_named("deepseek2-lite"));
    const scratch room;
    train_run     without(run_settings_of(settings_of(room.data(), "adamw", 6)));
    const auto    plain = steps_of(without, 3);
    it_goes_on_to_the_bit(room, { { "routerGradient", { { "kind", "sparse-mixer" }, { "reach", 1 } } } }, plain);
    it_goes_on_to_the_bit(room, { { "routerGradient", { { "kind", "default-moe" } } } }, plain);
    it_goes_on_to_the_bit(room, { { "expertUsedCount", { { "min", 1 }, { "max", 4 }, { "validateEach", true } } } }, plain);
    steps_tell_how_many_experts_they_used(room);
    steps_that_were_not_change_no_average(room);
    a_mixture_draws(room);
    what_does_not_go_together_is_refused(room);
    return check_result();
}
