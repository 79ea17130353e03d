#include "run-time.h"

#include "sample-pass.h"
#include "train/base/expert-tensors.h"
#include "train/base/tensor-reader.h"
#include "train/descent/gradients.h"
#include "train/descent/optimiser.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace moebius {

namespace {

template <typename Work> double seconds_of(Work && work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

double sum_of(const std::vector<double> & values) { return std::accumulate(values.begin(), values.end(), 0.0); }

// The second one: the first reads the base and touches memory for the first time.
pass_seconds measured_pass(train_pass & pass, const run_outline & run, const token_batch & batch, adapter & trained, const std::function<bool()> & go_on) {
    const used_count_settings & used = run.how.routers.used;
    const sample_routing        routing(pass, run.how, (used.least + used.most + 1) / 2);
    const pass_seconds          measured = learn_from(pass, batch, run.how, routing, trained);
    return go_on() ? learn_from(pass, batch, run.how, routing, trained) : measured;
}

// From gradients to new values on the device.
double measured_update(train_pass & pass, const run_outline & run, adapter & trained) {
    optimiser  descent(run.how.optimiser, trained.parameters, usual_parameter_settings(trained, run.how.b_rate_factor));
    const auto update = [&] {
        const double norm = summarise_gradients(trained.parameters, run.how.threads).norm;
        if (run.how.clip > 0) {
            clip_gradients(trained.parameters, norm, run.how.clip, run.how.threads);
        }
        descent.step(trained.parameters, run.how.schedule.learning_rate, run.how.threads);
        pass.follow_load();
        pass.write(trained);
    };
    update();
    return seconds_of(update);
}

// Frozen experts that layers read in turns.
struct turns {
    int64_t layers    = 0;  // that don't stay
    double  bandwidth = 0;  // bytes a second
    double  seconds   = 0;  // to read a layer
};

// Reads a layer that nobody has read just now.
turns measured_turns(const run_outline & run, const run_memory & memory) {
    turns made;
    if (memory.on_disk == 0) {
        return made;
    }
    const int64_t        layer  = run.shape.dense_layers + (run.shape.layers - run.shape.dense_layers) / 2;
    const expert_tensors stacks = expert_tensors_of(run.file, layer);
    tensor_reader        reader(run.file);
    made.seconds = seconds_of([&] {
        for (const gguf_tensor * stack : stacks.all()) {
            std::vector<uint8_t> bytes(stack ? stack->bytes : 0);
            if (stack) {
                reader.read(*stack, 0, bytes.size(), bytes.data());
            }
        }
    });
    made.bandwidth = double(stacks.bytes()) / made.seconds;
    made.layers    = int64_t(double(memory.on_disk) / double(stacks.bytes()) + 0.5) + 2;  // two have room in turns
    return made;
}

// A layer is read while the one before it computes, and the two at an end of a way are there already.
double waiting(const turns & reads, double forward, double backward, int forward_passes) {
    const double each = double(forward_passes) * std::max(0.0, reads.seconds - forward) + std::max(0.0, reads.seconds - backward);
    return double(std::max<int64_t>(0, reads.layers - 2)) * each;
}

}  // namespace

std::optional<run_time> estimate_run_time(const run_outline & run, const planned_batches & batches, const run_memory & memory, const std::function<bool()> & go_on) {
    model_sample        sample = sample_for(run, memory);
    const token_batch & batch  = batches.usual.batch;
    pass_devices        where  = run.where;
    where.experts              = sample_rooms(run, sample, memory);
    where.activation_bytes = 2 * memory.kept_layers >= run.shape.layers ? UINT64_MAX : 0;  // as most layers are
    train_pass         pass(sample.file, sample.shape, sample.trained, where);
    const pass_seconds measured = measured_pass(pass, run, batch, sample.trained, go_on);
    if (!go_on()) {
        return std::nullopt;
    }
    const int    last       = int(sample.shape.layers) - 1;
    double       of_batch   = measured.all - sum_of(measured.forward) - sum_of(measured.backward);  // embedding, head; of preferences the base's forward pass
    const double of_base    = measured.forward_passes > 1 ? sum_of(measured.forward) : 0;
    for (const int64_t stand_in : sample.stands_for) {
        of_batch += measured.forward_passes * measured.forward[size_t(stand_in)] + (measured.backward.empty() ? 0 : measured.backward[size_t(stand_in)]);
    }
    const turns reads = measured_turns(run, memory);
    of_batch += waiting(reads, measured.forward[size_t(last)], measured.backward[size_t(last)], measured.forward_passes) - of_base;
    int64_t numbers = 0;
    for (const train_parameter & parameter : sample.trained.parameters) {
        numbers += parameter.count();
    }
    const double share = batches.tokens / double(batch.tokens.size());
    run_time     made;
    made.step_seconds = double(run.how.batches_per_step) * share * of_batch + measured_update(pass, run, sample.trained) * double(memory.parameters) / double(numbers);
    made.seconds         = made.step_seconds * double(run.how.schedule.steps);
    made.measured_layers = sample.shape.layers;
    made.measured_tokens = int64_t(batch.tokens.size());
    made.read_bandwidth  = reads.bandwidth;
    return made;
}

}  // namespace moebius
