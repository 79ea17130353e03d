#include "loaded-model.h"

#include "devices.h"
#include "experts.h"
#include "host.h"
#include "huge-weights.h"
#include "lazy-mapping.h"
#include "llama-log.h"
#include "llama-open.h"
#include "memory.h"
#include "model-parameters.h"
#include "prefetch.h"
#include "tensor-class.h"

#include <numeric>

namespace moebius {

namespace {

// Shares of the progress bar. With a memory map, reading the file is the long part and llama.cpp's own part short.
constexpr double validated = 0.02;
constexpr double opened    = 0.15;  // with a store: the experts are yet to be read
constexpr double read      = 0.90;
constexpr double moved     = 0.95;  // to huge pages
constexpr double placed    = 0.99;  // copies are on the devices
constexpr double prefetched = 0.80;

// Gives where llama.cpp's part of the bar begins.
double prefetch(const gguf_model & file, const load_options & options, load_progress & progress) {
    const uint64_t total = std::accumulate(file.file_bytes.begin(), file.file_bytes.end(), uint64_t(0));
    if (!options.memory_map || total > host_memory_now().available) {
        return validated;  // weights go to GPUs through RAM that is less than the file: reading ahead would not keep them
    }
    uint64_t before = 0;
    for (size_t i = 0; i < file.files.size(); i++) {
        const bool go_on = prefetch_file(file.files[i], 0, file.file_bytes[i], [&](uint64_t bytes) {
            return progress.report("weights", validated + (prefetched - validated) * double(before + bytes) / double(total));
        });
        if (!go_on) {
            progress.throw_if_cancelled();
        }
        before += file.file_bytes[i];
    }
    return prefetched;
}

// The same for a model whose experts are in a store: all the other weights.
double prefetch_all_but_experts(const gguf_model & file, load_progress & progress) {
    uint64_t total = 0;
    for (const gguf_tensor & tensor : file.tensors) {
        total += classify_tensor(tensor.name) == tensor_class::experts ? 0 : tensor.bytes;
    }
    uint64_t before = 0;
    for (const gguf_tensor & tensor : file.tensors) {
        if (total > host_memory_now().available || classify_tensor(tensor.name) == tensor_class::experts) {
            continue;
        }
        const bool go_on = prefetch_file(file.files[tensor.file], tensor.offset, tensor.bytes, [&](uint64_t bytes) {
            return progress.report("weights", validated + (opened - validated) * double(before + bytes) / double(total));
        });
        if (!go_on) {
            progress.throw_if_cancelled();
        }
        before += tensor.bytes;
    }
    return opened;
}

llama_model_ptr read_weights(const loaded_model & plan, const gguf_model & file, load_progress & progress) {
    const llama_log_scope       log;
    model_parameters            parameters(plan.options, plan.inspection, plan.experts.get());
    std::optional<lazy_mapping> unread;
    if (plan.experts) {
        unread.emplace();
    }
    struct bar {
        load_progress & progress;
        double          begin;
        double          end;
    } bar{ progress, plan.experts ? prefetch_all_but_experts(file, progress) : prefetch(file, plan.options, progress), plan.experts ? opened : read };
    parameters.value.progress_callback_user_data = &bar;
    parameters.value.progress_callback           = [](float fraction, void * user_data) {
        const auto & bar = *static_cast<struct bar *>(user_data);
        return bar.progress.report("weights", bar.begin + (bar.end - bar.begin) * double(fraction));
    };
    llama_model_ptr model = llama_open(file, parameters.value, log);
    if (!model) {
        progress.throw_if_cancelled();
    }
    return model;
}

// What is mapped can be dropped and read again, what is moved cannot: not where RAM is scarce. With a store it is what the model needs anyway, and counted.
void move_to_huge_pages(const loaded_model & plan, load_progress & progress) {
    const host_memory memory = host_memory_now();
    const uint64_t    spare  = memory.total / 10;
    weights_to_huge_pages(plan.model.get(), plan.experts ? memory.available : memory.available - std::min(memory.available, spare), [&](uint64_t bytes, uint64_t total) {
        return plan.experts || progress.report("weights", read + (moved - read) * double(bytes) / double(total));
    });
    progress.throw_if_cancelled();
}

std::unique_ptr<decoder> make_decoder(const loaded_model & plan, output & out) {
    const llama_log_scope log;
    try {
        return std::make_unique<decoder>(plan.model.get(), *plan.texts, plan.options, plan.inspection, out);
    } catch (user_error & error) {
        const std::string reason = log.first_error("");
        if (!reason.empty()) {
            error.details["reason"] = reason;
        }
        throw;
    }
}

}  // namespace

void load_weights(loaded_model & plan, const gguf_model & file, load_progress & progress, output & out) {
    plan.experts = make_experts(file, plan.inspection, plan.options);
    plan.model   = read_weights(plan, file, progress);
    move_to_huge_pages(plan, progress);
    if (plan.experts) {
        plan.experts->store.fill([&](uint64_t bytes, uint64_t total) {
            return progress.report("weights", opened + (read - opened) * double(bytes) / double(total));
        });
        progress.throw_if_cancelled();
        plan.experts->look_ahead(plan.model.get());
        if (!plan.options.lossy.off()) {
            apply_lossy(plan.experts->lossy, plan.options.lossy, file, plan.experts->store.layout());
        }
        use_expert_devices(*plan.experts, plan.options);
        if (plan.experts->devices) {
            plan.experts->devices->begin([&](uint64_t bytes, uint64_t total) {
                return progress.report("weights", read + (placed - read) * double(bytes) / double(std::max<uint64_t>(total, 1)));
            });
            progress.throw_if_cancelled();
            use_replica_precision(*plan.experts, plan.options);
        }
    } else {
        plan.whole = make_whole_experts(plan.model.get(), file, plan.inspection, plan.options);
    }
    progress.report("context", plan.experts ? placed : moved);
    progress.throw_if_cancelled();
    plan.texts     = std::make_unique<model_texts>(plan.model.get());
    plan.engine    = make_decoder(plan, out);
    plan.telemetry = plan.engine->observes_router();
    plan.memory    = json::array();
    std::vector<device_split> splits = memory_of(plan.model.get(), plan.engine->context(), plan.options.devices);
    if (plan.experts) {
        add_expert_devices(splits, plan.experts->store.layout(), plan.options);
        entry_of(splits, cpu_device_id).experts += plan.experts->lossy.slot_bytes() - plan.experts->store.slot_bytes();
    }
    for (const device_split & device : splits) {
        json entry  = memory_to_json(device.memory);
        entry["id"] = device.id;
        plan.memory.push_back(std::move(entry));
    }
    if (plan.experts) {
        plan.experts->store.restart_counters();
        plan.experts->lossy.restart_counters();
    }
    progress.throw_if_cancelled();
    progress.report("warmup", 1.0);  // the decoder warmed up when it was made
}

void load_vocabulary(loaded_model & plan, const gguf_model & file, load_progress & progress) {
    const llama_log_scope log;
    ggml_backend_dev_t    no_devices[] = { nullptr };
    llama_model_params    parameters   = llama_model_default_params();
    parameters.vocab_only              = true;
    parameters.devices                 = no_devices;
    plan.model                         = llama_open(file, parameters, log);
    plan.texts                         = std::make_unique<model_texts>(plan.model.get());
    plan.memory                        = json::array();
    progress.throw_if_cancelled();
    progress.report("weights", 1.0);
}

json loaded_model_to_json(const loaded_model & model) {
    return {
        { "model", model.id },
        { "path", model.path },
        { "inspection", model.inspection },
        { "options", model.engine ? options_to_json(model.options) : json::object() },
        { "loadMilliseconds", model.load_ms },
        { "memory", model.memory },
        { "telemetry", model.telemetry },
    };
}

}  // namespace moebius
