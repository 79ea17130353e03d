#include "plan.h"

#include "devices.h"
#include "experts/store/expert-store.h"
#include "host.h"
#include "inspect.h"
#include "plan-fold.h"
#include "plan-layout.h"

#include <algorithm>
#include <filesystem>

namespace moebius {

namespace {

constexpr uint64_t engine_growth         = 8u << 20;  // bytes that generating takes besides, of text, threads and logs
constexpr double described_wait_seconds = 20e-6;  // of a GPU in the same machine: a guess

constexpr uint32_t usual_prompt = 512;
constexpr uint32_t usual_reply  = 128;

// The type that most bytes of a token are in.
ggml_type leading_type(const gguf_model & file, const expert_layout & layout) {
    if (!layout.empty()) {
        return layout.layers[0].parts[0].type;
    }
    const auto largest = std::max_element(file.tensors.begin(), file.tensors.end(), [](const gguf_tensor & a, const gguf_tensor & b) { return a.bytes < b.bytes; });
    return largest == file.tensors.end() ? GGML_TYPE_F16 : largest->type;
}

// The trace that was named, or the one that lies beside the model.
std::string trace_path(const plan_request & request) {
    if (!request.trace.empty()) {
        return request.trace;
    }
    const auto      beside = std::filesystem::u8path(request.path).replace_extension(".moetrace");
    std::error_code ignored;
    return std::filesystem::is_regular_file(beside, ignored) ? beside.u8string() : "";
}

turn_lengths lengths_of(const plan_request & request, const load_options & options) {
    const uint32_t context = options.context_length;
    const uint32_t reply   = request.reply_tokens.value_or(std::min(usual_reply, std::max(1u, context / 4)));
    const uint32_t prompt  = request.prompt_tokens.value_or(std::min(usual_prompt, std::max(1u, context - std::min(context, reply))));
    if (uint64_t(prompt) + reply > context) {
        throw user_error("request.invalid",
                         "A prompt of " + std::to_string(prompt) + " tokens and a reply of " + std::to_string(reply) + " do not fit a context of " + std::to_string(context) +
                             ". Give a larger contextLength or fewer tokens.",
                         { { "promptTokens", prompt }, { "replyTokens", reply }, { "contextLength", context } });
    }
    return { prompt, reply, options.batch };
}

json forecast_to_json(const step_forecast & forecast, double tokens) {
    json limits = json::array();
    for (const step_limit & limit : forecast.limits) {
        limits.push_back({ { "resource", limit.resource }, { "tokensPerSecond", tokens / limit.seconds } });
    }
    return {
        { "tokensPerSecond", tokens / forecast.seconds },
        { "seconds", forecast.seconds },
        { "bottleneck", forecast.limits.empty() ? "" : forecast.limits.front().resource },
        { "limits", std::move(limits) },
    };
}

json plan_memory_to_json(const tier_plan & plan, const plan_machine & machine, const memory_estimate & here, const std::optional<described_rig> & rig, uint64_t engine) {
    json devices = json::array();
    for (size_t d = 0; d < plan.needs.size(); d++) {
        const device_need & need = plan.needs[d];
        const uint64_t      have = rig && d > 0 ? rig->devices[d - 1].memory : rig && rig->ram ? *rig->ram : here.devices[d].free;
        devices.push_back({ { "id", machine.rig[d].id },
                            { "weights", need.weights },
                            { "experts", need.experts },
                            { "kvCache", need.kv },
                            { "compute", need.compute },
                            { "need", need.sum() },
                            { "have", have } });
    }
    return { { "devices", std::move(devices) }, { "engineBytes", engine } };
}

json hits_to_json(const plan_placement & placement, const hit_rates & hits, const load_options & options) {
    double missing = 0;
    for (const expert_place_plan & layer : placement.experts) {
        missing += layer.missing / double(placement.experts.size());
    }
    const bool all_there = missing == 0;
    return { { "rate", 1 - missing }, { "source", all_there ? "all" : hits.from_trace() ? "trace" : "guess" }, { "policy", policy_at_load(options) } };
}

json hardware_to_json(const plan_machine & machine) {
    json devices = json::array();
    for (size_t d = 0; d < machine.rig.size(); d++) {
        const device_rates & rates = machine.rig[d];
        devices.push_back({ { "id", rates.id },
                            { "bandwidth", rates.bandwidth },
                            { "flops", rates.flops },
                            { "linkBandwidth", rates.link > 0 ? json(rates.link) : json(nullptr) },
                            { "nodeSeconds", rates.node_seconds },
                            { "measured", machine.timers[d] != nullptr } });
    }
    return devices;
}

std::vector<std::string> ids_of(const plan_machine & machine) {
    std::vector<std::string> ids;
    for (const device_rates & device : machine.rig) {
        ids.push_back(device.id);
    }
    return ids;
}

}  // namespace

// The model that is asked about.
struct planner::plan_model {
    explicit plan_model(const plan_request & request)
        : file(gguf_open(request.path)), inspection(inspect_model(file)), options(options_parse(request.options, inspection)), layout(expert_layout_usable(file, inspection)) {}

    gguf_model    file;
    json          inspection;
    load_options  options;
    expert_layout layout;
};

std::shared_ptr<node_timer> planner::timer_of(ggml_backend_dev_t device, int32_t threads) {
    std::shared_ptr<node_timer> & timer = timers[std::string(ggml_backend_dev_name(device)) + "," + std::to_string(threads)];
    timer                               = timer ? timer : std::make_shared<node_timer>(device, threads);
    return timer;
}

batch_cost planner::reads_of(const expert_layout & layout) {
    const auto found = reads.find(layout.files.front());
    return found != reads.end() ? found->second : reads[layout.files.front()] = measure_expert_reads(layout);
}

plan_machine planner::machine_for(const plan_request & request, const plan_model & model, const std::vector<std::string> & gpus, bool from_disk) {
    plan_machine    machine;
    const ggml_type type = leading_type(model.file, model.layout);
    const auto      cpu  = timer_of(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), model.options.threads);
    machine.rig.push_back(measure_rates(*cpu, cpu_device_id, type));
    machine.timers.push_back(cpu);
    if (request.rig) {
        const described_rig & rig = *request.rig;
        machine.rig[0].bandwidth  = rig.ram_bandwidth.value_or(machine.rig[0].bandwidth);
        machine.rig[0].flops      = rig.cpu_flops.value_or(machine.rig[0].flops);
        machine.timers[0]         = rig.cpu_is_described() ? nullptr : machine.timers[0];
        for (const described_device & device : rig.devices) {
            machine.rig.push_back({ device.id, device.bandwidth, device.flops, device.link, rig.node_seconds, described_wait_seconds, rig.node_seconds });
            machine.timers.push_back(nullptr);
        }
    } else {
        for (const std::string & id : gpus) {
            const auto timer = timer_of(gpu_device(id), 1);
            machine.rig.push_back(measure_rates(*timer, id, type));
            machine.timers.push_back(timer);
        }
    }
    if (from_disk && request.rig && request.rig->disk_bandwidth) {
        machine.read = { 0, expert_bytes(model.layout.layers.front()) / *request.rig->disk_bandwidth, 0 };
    } else if (from_disk) {
        machine.read = reads_of(model.layout);
    }
    return machine;
}

// What the search and a plan are about.
struct planner::plan_question {
    plan_question(const plan_request & asked_for, const std::function<void()> & stop) : request(asked_for), model(asked_for), check(stop), lengths(lengths_of(asked_for, model.options)) {}

    hit_rates hits() const { return { trace_path(request), model.layout, policy_at_load(model.options), check }; }

    const plan_request &          request;
    plan_model                    model;
    const std::function<void()> & check;
    turn_lengths                  lengths;
};

// Asks llama.cpp for the memory on the CPU alone: what a part of the model takes does not depend on the device.
planner::plan_answer planner::answer_with_best_split(plan_question & question) {
    plan_model &  model = question.model;
    load_options  bare  = model.options;
    bare.devices.clear();
    bare.tensor_split.clear();
    bare.expert_devices.emplace();
    bare.gpu_layers              = 0;
    bare.expert_ram_bytes        = 0;
    const memory_estimate on_cpu = estimate_memory(model.file, model.inspection, bare);
    const plan_sizes      sizes  = plan_sizes_of(model.file, on_cpu);
    plan_rooms            rooms;
    std::vector<std::string> gpus;
    if (question.request.rig) {
        for (const described_device & device : question.request.rig->devices) {
            gpus.push_back(device.id);
            rooms.gpus.push_back(usable_bytes(device.memory));
        }
        rooms.ram = usable_bytes(question.request.rig->ram.value_or(on_cpu.devices.front().free));
    } else {
        gpus = model.options.devices;
        for (const std::string & id : gpus) {
            rooms.gpus.push_back(usable_bytes(device_memory_now(gpu_device(id)).free));
        }
        rooms.ram = usable_bytes(on_cpu.devices.front().free);
    }
    const bool         from_disk = !model.layout.empty() && fold_ram_bytes(sizes, model.layout, rooms) < expert_slots_most_bytes(model.layout);
    const plan_machine machine   = machine_for(question.request, model, gpus, from_disk);
    question.check();
    planned_model      open(model.file, model.inspection, bare, true);
    const planned_turn turn(open, question.lengths, machine, std::vector<bool>(machine.rig.size(), true), question.check);
    const hit_rates    guess("", model.layout, policy_at_load(model.options), question.check);
    const hit_rates    hits = question.hits();
    const auto         find = [&] { return find_split(turn, question.lengths, sizes, model.layout, rooms, guess, hits); };
    best_split         found = find();
    apply_split(found.chosen.split, model.layout, gpus, model.options);
    plan_answer answer;
    if (question.request.rig) {
        answer = { fold_to_plan(found.chosen.split, sizes, model.layout), on_cpu, machine, {}, found.chosen.turn, nullptr };
        answer.placement = placement_of(answer.plan, model.layout, hits);
    } else {
        make_it_fit(question, rooms, [&] {
            found = find();
            apply_split(found.chosen.split, model.layout, gpus, model.options);
        });
        answer = answer_as_loaded(question);
    }
    answer.folding = best_split_to_json(found, question.lengths, model.layout, gpus, sizes.blocks.size());
    return answer;
}

// The search counts a device's buffers as those of the CPU are; the estimate of a load is exact. `again` searches in less room.
void planner::make_it_fit(plan_question & question, plan_rooms & rooms, const std::function<void()> & again) {
    constexpr int tries = 4;
    for (int i = 0; i < tries; i++) {
        const memory_estimate   memory = fit_experts(question.model.file, question.model.inspection, question.model.options);
        const device_estimate * small  = memory.short_device();
        if (!small) {
            return;
        }
        const auto     at   = std::find(question.model.options.devices.begin(), question.model.options.devices.end(), small->id);
        uint64_t &     room = at == question.model.options.devices.end() ? rooms.ram : rooms.gpus[size_t(at - question.model.options.devices.begin())];
        const uint64_t over = small->memory.sum() - small->free;
        room -= std::min(room, over);
        again();
    }
}

planner::plan_answer planner::answer_as_loaded(plan_question & question) {
    plan_model & model = question.model;
    refuse_hopeless(model.file, model.inspection, model.options);
    plan_answer answer;
    answer.memory = fit_experts(model.file, model.inspection, model.options);
    refuse_unless_fits(answer.memory, question.request.path);
    question.check();
    answer.plan      = plan_as_loaded(model.file, model.inspection, model.options, answer.memory, model.layout);
    answer.placement = placement_of(answer.plan, model.layout, question.hits());
    std::vector<std::string> gpus;
    for (size_t d = 1; d < answer.memory.devices.size(); d++) {
        gpus.push_back(answer.memory.devices[d].id);
    }
    const bool from_disk = std::any_of(answer.placement.experts.begin(), answer.placement.experts.end(), [](const expert_place_plan & layer) { return layer.absent > 0 || layer.missing > 0; });
    answer.machine       = machine_for(question.request, model, gpus, from_disk);
    question.check();
    std::vector<bool> used(answer.machine.rig.size(), false);
    used[answer.plan.head_device] = true;
    for (const uint32_t device : answer.plan.block_device) {
        used[device] = true;
    }
    planned_model open(model.file, model.inspection, model.options, false);
    answer.turn = planned_turn(open, question.lengths, answer.machine, used, question.check).forecast(answer.placement);
    return answer;
}

json planner::make(const json & params, const std::function<void()> & check) {
    const plan_request                request = plan_request_parse(params);
    const std::lock_guard<std::mutex> one(mutex);
    const uint64_t                    engine = host_process_bytes() + engine_growth;
    plan_question                     question(request, check);
    const plan_answer                 answer = request.rig || request.fold ? answer_with_best_split(question) : answer_as_loaded(question);
    const hit_rates                   hits   = question.hits();
    const expert_layout &             layout = question.model.layout;
    const bool                        reads  = answer.machine.read.per_expert > 0;
    return {
        { "memory", plan_memory_to_json(answer.plan, answer.machine, answer.memory, request.rig, engine) },
        { "placement", tier_plan_to_json(answer.plan, ids_of(answer.machine), layout) },
        { "prefill", forecast_to_json(answer.turn.prefill, question.lengths.prompt) },
        { "decode", forecast_to_json(answer.turn.decode, 1) },
        { "promptTokens", question.lengths.prompt },
        { "replyTokens", question.lengths.reply },
        { "hitRate", hits_to_json(answer.placement, hits, question.model.options) },
        { "hardware", hardware_to_json(answer.machine) },
        { "diskBandwidth", reads ? json(expert_bytes(layout.layers.front()) / answer.machine.read.per_expert) : json(nullptr) },
        { "offloading", hits.suitability() },
        { "folding", answer.folding },
        { "options", options_to_json(question.model.options) },
    };
}

}  // namespace moebius
