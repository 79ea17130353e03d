// Runs of the tiny model: losses fall, what is stopped or saved goes on to the bit, damaged checkpoints are refused.
#include "check.h"
#include "model/backends.h"
#include "run-fixture.h"
#include "small-base.h"
#include "train/run/checkpoint.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>

using namespace moebius;
using namespace moebius_test;

namespace {

void losses_fall_and_a_saved_run_goes_on_to_the_bit(const scratch & room, const char * optimiser, int threads) {
    const json  settings = settings_of(room.data(), optimiser, 6, threads);
    train_run   whole(run_settings_of(settings));
    const auto  before = whole.validate(always);
    const auto  first  = steps_of(whole, 3);
    const auto  path   = (room.folder / "three.checkpoint").u8string();
    checkpoint_write({ settings, whole.state() }, path);
    const auto  rest   = steps_of(whole, 3);
    const auto  after  = whole.validate(always);
    CHECK(before && after && after->loss < before->loss - 0.5);
    CHECK(whole.done());

    const checkpoint saved = checkpoint_read(path);
    CHECK(saved.settings == settings);
    train_run resumed(run_settings_of(saved.settings));
    resumed.restore(saved.state);
    CHECK(steps_of(resumed, 3) == rest);
    CHECK(same_values(whole, resumed));
    CHECK(resumed.validate(always)->loss == after->loss);
    const auto movement = resumed.movement();
    CHECK(std::any_of(movement.begin(), movement.end(), [](const tensor_movement & each) { return each.tensor == "output_norm.weight"; }));
    for (const tensor_movement & each : movement) {
        CHECK(*std::max_element(each.norms.begin(), each.norms.end()) > 0);
    }
    std::fprintf(stderr, "%s: validation loss %.3f -> %.3f; resumed behind step 3 the losses are the same to the bit\n", optimiser, before->loss, after->loss);
}

// MixLoRA on a small model without experts.
void a_mixture_learns_and_goes_on_to_the_bit(const scratch & room) {
    const std::string model = write_small_base(dense_bases().front());
    {
        json settings        = settings_of(room.data(), "adamw", 6);
        settings["model"]    = model;
        settings["adapter"]  = { { "attention", { { "loraRank", 4 } } }, { "mixture", { { "loraRank", 4 }, { "expertCount", 3 } } } };
        settings["schedule"] = { { "steps", 6 }, { "learningRate", 1e-2 } };
        settings.erase("routerLosses");
        train_run    whole(run_settings_of(settings));
        const double before = whole.validate(always)->loss;
        CHECK(whole.settings().router_losses.balance > 0);  // the usual one of mixtures
        const auto  report = whole.step(always);
        CHECK(report->unmoved.empty() && report->balance > 1);  // the sum of two choices' loads
        CHECK_EQUAL(report->expert_tokens.size(), size_t(dense_bases().front().layers));
        for (const std::vector<int64_t> & layer : report->expert_tokens) {
            CHECK_EQUAL(layer.size(), 3u);
            CHECK_EQUAL(layer[0] + layer[1] + layer[2], 2 * report->tokens);
        }
        steps_of(whole, 2);
        const auto path = (room.folder / "mixture.checkpoint").u8string();
        checkpoint_write({ settings, whole.state() }, path);
        const auto rest = steps_of(whole, 3);
        CHECK(whole.validate(always)->loss < before - 0.3);
        train_run resumed(run_settings_of(settings));
        resumed.restore(checkpoint_read(path).state);
        CHECK(steps_of(resumed, 3) == rest);
        CHECK(same_values(whole, resumed));
        std::fprintf(stderr, "mixture: validation loss %.3f -> %.3f; resumed behind step 3 the losses are the same to the bit\n", before, whole.validate(always)->loss);
        const auto movement = whole.movement(), at_start = train_run(run_settings_of(settings)).movement();
        CHECK_EQUAL(movement[movement.size() - 1 - size_t(dense_bases().front().layers)].norms.size(), 3u);  // the last stack before the routers
        CHECK(std::all_of(movement.begin(), movement.end(), [](const tensor_movement & each) { return *std::min_element(each.norms.begin(), each.norms.end()) > 0; }));
        CHECK(std::all_of(at_start.begin(), at_start.end(), [](const tensor_movement & each) { return *std::max_element(each.norms.begin(), each.norms.end()) == 0; }));
        settings["adapter"]["mixture"]["expertUsedCount"] = 4;
        CHECK_THROWS(run_settings_of(settings), user_error, error.code == "request.invalid" && std::string(error.what()).find("expertUsedCount") != std::string::npos);
    }
    std::remove(model.c_str());
}

void a_stopped_step_was_not(const scratch & room) {
    const run_settings settings = run_settings_of(settings_of(room.data(), "adamw", 3));
    train_run          steady(settings), interrupted(settings);
    int                asked = 0;
    CHECK(!interrupted.step([&] { return ++asked < 2; }));  // between its two batches
    CHECK_EQUAL(interrupted.step_count(), 0);
    CHECK(!interrupted.validate([] { return false; }));
    CHECK(steps_of(steady, 3) == steps_of(interrupted, 3));
    CHECK(same_values(steady, interrupted));
}

bool has_values(const train_run & run, const std::vector<train_parameter> & values) {
    return std::equal(values.begin(), values.end(), run.trained().parameters.begin(), run.trained().parameters.end(), [](const train_parameter & x, const train_parameter & y) {
        return std::memcmp(x.values.data(), y.values.data(), x.values.size() * sizeof(float)) == 0;  // NaN too
    });
}

void a_spike_takes_it_back_to_the_last_good_state(const scratch & room) {
    train_run       run(run_settings_of(settings_of(room.data(), "adamw", 6)));
    run_state       state = run.state();
    const run_state good  = state;
    state.guardian.losses.assign(64, 0.01);  // as if it had known all by heart
    state.guardian.good = 64;
    run.restore(state);
    const auto report = run.step(always);
    CHECK(report->verdict.action == guardian_action::roll_back && !report->verdict.reason.empty());
    CHECK(has_values(run, good.parameters));
    CHECK_EQUAL(run.step_count(), 1);
    CHECK(run.state().cursor.to_json() != good.cursor.to_json());  // the batch is behind it
}

void a_batch_without_numbers_changes_nothing(const scratch & room) {
    train_run run(run_settings_of(settings_of(room.data(), "adamw", 6)));
    run_state state                  = run.state();
    state.parameters[0].values[0] = NAN;
    run.restore(state);
    const auto report = run.step(always);
    CHECK(std::isnan(report->loss) || std::isnan(report->gradient_norm));
    CHECK(report->verdict.action == guardian_action::skip);
    CHECK(has_values(run, state.parameters));
    CHECK_EQUAL(run.state().optimiser.steps, 0);
}

// The message of a refusal to go on with `changed`; empty: it is taken.
std::string refusal_of(const json & begun, const json & changed) {
    try {
        refuse_other_settings(begun, changed);
    } catch (const user_error & error) {
        CHECK_EQUAL(error.code, std::string("request.invalid"));
        return error.what();
    }
    return "";
}

void a_run_goes_on_only_with_its_own_settings(const scratch & room) {
    const json begun   = settings_of(room.data(), "adamw", 6);
    const auto changed = [&](const std::string & pointer, const json & value) {
        json settings = begun;
        settings[json::json_pointer(pointer)] = value;
        return settings;
    };
    const auto is_named = [&](const std::string & pointer, const json & value, const std::string & told) {
        const std::string message = refusal_of(begun, changed(pointer, value));
        report(message.find(told) != std::string::npos, __FILE__, __LINE__, pointer + ": " + message);
    };
    is_named("/seed", 5, "seed 4, now 5.");
    is_named("/batchTokens", 128, "batchTokens 64, now 128.");
    is_named("/batchesPerStep", 1, "batchesPerStep 2, now 1.");
    is_named("/clip", 0, "clip 1, now 0.");
    is_named("/weighting", "sequences", "weighting tokens, now sequences.");
    is_named("/adapter/attention/loraAlpha", 16, "adapter.attention.loraAlpha 8, now 16.");
    is_named("/adapter/experts/rankStabilised", false, "adapter.experts.rankStabilised true, now false.");
    is_named("/adapter/experts/dropout", 0.2, "adapter.experts.dropout 0.1, now 0.2.");
    is_named("/adapter/experts/chosen", { { "layers", { { "0", { 1 } } } } }, "adapter.experts.chosen.layers none, now [[1]].");
    is_named("/adapter/wholeNorms", false, "adapter.wholeNorms true, now false.");
    is_named("/optimiser/kind", "adamw-8bit", "optimiser.kind adamw, now adamw-8bit.");
    is_named("/optimiser/beta1", 0.8, "optimiser.beta1 0.9, now 0.8.");
    is_named("/schedule/kind", "linear", "schedule.kind cosine, now linear.");
    is_named("/schedule/learningRate", 1e-3, "schedule.learningRate 0.003, now 0.001.");
    is_named("/routerLosses/z", 0.5, "routerLosses.z 0.001, now 0.5.");
    is_named("/routerGradient", { { "kind", "sparse-mixer" } }, "routerGradient.kind straight-through, now sparse-mixer.");
    is_named("/expertUsedCount", { { "min", 1 }, { "max", 3 } }, "expertUsedCount.max 0, now 3; expertUsedCount.min 0, now 1.");
    is_named("/objective", "dpo", "objective next-token, now dpo.");
    for (const auto & [pointer, value] : std::map<std::string, json>{ { "/schedule/steps", 9 }, { "/threads", 2 }, { "/devices", { { "activationBytes", 0 } } }, { "/model", "moved.gguf" }, { "/data", "moved" }, { "/clip", 1 }, { "/optimiser/weightDecay", 0 } }) {
        CHECK_EQUAL(refusal_of(begun, changed(pointer, value)), std::string());
    }
}

// Weights of the same names and shapes, and rows of the same count, are not enough.
void a_run_goes_on_only_with_its_own_base_and_data(const scratch & room) {
    const fs::path moved = room.folder / "moved.gguf", data = room.folder / "moved";
    fs::copy_file(fs::u8path(MOEBIUS_TINY_MODEL), moved);
    fs::copy(fs::u8path(room.data()), data);
    json settings     = settings_of(data.u8string(), "adamw", 6);
    settings["model"] = moved.u8string();
    const run_state saved = train_run(run_settings_of(settings_of(room.data(), "adamw", 6))).state();
    train_run(run_settings_of(settings)).restore(saved);

    const auto        refused = [&](const std::string & what) { CHECK_THROWS(train_run(run_settings_of(settings)).restore(saved), user_error, error.code == "request.invalid" && std::string(error.what()).find(what) != std::string::npos); };
    const std::string index   = bytes_of(data / "train.index");
    std::string       other   = index;
    other[8]++;  // the row of the first example
    write_bytes(data / "train.index", other);
    refused("begun with other data: ");
    write_bytes(data / "train.index", index);

    const gguf_model   file   = gguf_open(moved.u8string());
    const gguf_tensor & stack = *file.find_tensor("blk.1.ffn_down_exps.weight");
    const uint64_t     expert = stack.bytes / uint64_t(stack.ne[2]);
    std::string        bytes  = bytes_of(moved);
    bytes[stack.offset + 5 * expert + expert / 2] ^= 1;  // one expert's matrix
    write_bytes(moved, bytes);
    refused("begun with another base: ");
}

void damaged_checkpoints_are_refused(const scratch & room) {
    const std::string path = (room.folder / "three.checkpoint").u8string(), damaged = (room.folder / "damaged.checkpoint").u8string();
    const std::string sound = bytes_of(path);
    std::mt19937      random(6);
    for (int i = 0; i < 60; i++) {
        std::string bytes = sound;
        if (i % 3 == 0) {
            bytes.resize(random() % bytes.size());
        } else {
            const size_t most = i % 3 == 1 ? std::min<size_t>(bytes.size(), 4096) : bytes.size();  // the header more often than chance would have it
            bytes[random() % most] = char(bytes[0] + 1 + int(random() % 250));
        }
        if (bytes == sound) {
            continue;
        }
        write_bytes(damaged, bytes);
        bool refused = false;
        try {
            checkpoint_read(damaged);
        } catch (const user_error & error) {
            refused = error.code.rfind("file.", 0) == 0;
        }
        CHECK(refused);
    }
    CHECK_THROWS(checkpoint_read((room.folder / "none").u8string()), user_error, error.code == "file.not-found");
    CHECK_THROWS(checkpoint_write({ {}, {} }, (room.folder / "no" / "folder").u8string()), user_error, error.code == "file.unwritable");
}

void what_cannot_be_is_refused(const scratch & room) {
    json settings = settings_of(room.data(), "adamw", 2);
    settings["schedule"]["warmupSteps"] = 3;
    CHECK_THROWS(run_settings_of(settings), user_error, error.code == "request.invalid");
    settings = settings_of(room.data(), "adamw", 2);
    settings["strange"] = 1;
    CHECK_THROWS(run_settings_of(settings), user_error, error.code == "request.invalid");
    settings = settings_of(room.data(), "adamw", 2);
    settings["batchTokens"] = 8;  // fewer than the longest example has
    CHECK_THROWS(train_run(run_settings_of(settings)), user_error, error.code == "request.invalid");
    CHECK_THROWS(train_run(run_settings_of(settings_of(encoded.u8string(), "adamw", 2))), user_error, error.code == "request.invalid");  // preferences
    settings              = settings_of(room.data(), "adamw", 2);
    settings["objective"] = "dpo";
    CHECK_THROWS(train_run(run_settings_of(settings)), user_error, error.code == "request.invalid");  // no preferences
    const auto refused = [&](const std::string & pointer, const json & value, const std::string & told) {
        json changed = settings_of(room.data(), "adamw", 2);
        changed[json::json_pointer(pointer)] = value;
        CHECK_THROWS(train_run(run_settings_of(changed)), user_error, error.code == "request.invalid" && std::string(error.what()).find(told) != std::string::npos);
    };
    refused("/schedule/powerA", 4, "schedule.powerA");
    refused("/schedule/kind", "wsd", "schedule.decaySteps");
    refused("/schedule", { { "steps", 2 }, { "finalFraction", 0.1 } }, "schedule.finalFraction");
    refused("/schedule/warmupSteps", 3, "schedule.warmupSteps is 3");
    refused("/optimiser", { { "kind", "sgd" }, { "beta1", 0.9 } }, "optimiser.beta1");
    refused("/optimiser/momentum", 0.9, "optimiser.momentum");
    refused("/threads", 512, "threads' is 512");
    refused("/adapter/shared", { { "loraRank", 4 } }, "adapter.shared");
    refused("/adapter", { { "router", { { "loraRank", 4096 } } } }, "adapter.router.loraRank is 4096");
    settings        = settings_of(room.data(), "adamw", 2);
    settings["dpo"] = { { "beta", 0.2 } };
    CHECK_THROWS(run_settings_of(settings), user_error, error.code == "request.invalid");
    train_run other(run_settings_of(settings_of(room.data(), "sgd", 6)));
    CHECK_THROWS(other.restore(checkpoint_read((room.folder / "three.checkpoint").u8string()).state), user_error, error.code == "request.invalid");
}

}  // namespace

void latent_attention_and_sigmoid_routers_learn(const scratch & room) {
    const std::string path = write_small_base(small_bases().back());
    json              settings = settings_of(room.data(), "adamw", 6);
    settings["model"]             = path;
    settings["adapter"]["shared"] = { { "loraRank", 4 } };
    CHECK_THROWS(train_run(run_settings_of(settings)), user_error, error.code == "request.invalid" && std::string(error.what()).find("z-loss") != std::string::npos);
    settings["routerLosses"]["z"] = 0;
    train_run                 run(run_settings_of(settings));
    const std::vector<double> losses = steps_of(run, 6);
    CHECK(run.trained().architecture == "deepseek2" && losses.back() < losses.front() - 0.1);
    fs::remove(fs::u8path(path));
}

int main() {
    backends_load();
    const scratch room;
    a_mixture_learns_and_goes_on_to_the_bit(room);
    losses_fall_and_a_saved_run_goes_on_to_the_bit(room, "adamw-8bit", 2);
    losses_fall_and_a_saved_run_goes_on_to_the_bit(room, "adamw", 1);
    a_stopped_step_was_not(room);
    a_spike_takes_it_back_to_the_last_good_state(room);
    a_batch_without_numbers_changes_nothing(room);
    a_run_goes_on_only_with_its_own_settings(room);
    a_run_goes_on_only_with_its_own_base_and_data(room);
    damaged_checkpoints_are_refused(room);
    what_cannot_be_is_refused(room);
    latent_attention_and_sigmoid_routers_learn(room);
    return check_result();
}
