#include "plan.h"

#include "devices.h"
#include "host.h"
#include "inspect.h"
#include "plan-layout.h"

#include <algorithm>
#include <filesystem>

namespace moebius {

namespace {

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

struct step_lengths {
    uint32_t prompt, reply;
};

step_lengths lengths_of(const plan_request & request, const load_options & options) {
    const uint32_t context = options.context_length;
    const uint32_t reply   = request.reply_tokens.value_or(std::min(usual_reply, std::max(1u, context / 4)));
    const uint32_t prompt  = request.prompt_tokens.value_or(std::min(usual_prompt, std::max(1u, context - std::min(context, reply))));
    if (uint64_t(prompt) + reply > context) {
        throw user_error("request.invalid",
                         "A prompt of " + std::to_string(prompt) + " tokens and a reply of " + std::to_string(reply) + " do not fit a context of " + std::to_string(context) +
                             ". Give a larger contextLength or fewer tokens.",
                         { { "promptTokens", prompt }, { "replyTokens", reply }, { "contextLength", context } });
    }
    return { prompt, reply };
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

// All batches of a prompt one after the other, as if they were one step.
step_forecast forecast_prompt(planned_model & model, uint32_t prompt, uint32_t batch, const plan_machine & machine, const plan_placement & placement) {
    step_work      all;
    const uint32_t whole = prompt / batch, rest = prompt % batch;
    const auto     add   = [&](uint32_t tokens, uint32_t context, uint32_t times) {
        step_work step = price_step(model, tokens, context, machine, placement);
        for (step_part & part : step.parts) {
            part.count *= times;
            all.parts.push_back(part);
        }
        for (uint32_t i = 0; i < times; i++) {
            all.experts.insert(all.experts.end(), step.experts.begin(), step.experts.end());
        }
        all.overhead += times * step.overhead;
        all.moved += times * step.moved;
    };
    if (whole > 0) {
        add(batch, (whole + 1) * batch / 2, whole);
    }
    if (rest > 0) {
        add(rest, prompt, 1);
    }
    return forecast_step(all, machine.rig);
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

plan_machine planner::machine_for(const plan_request & request, const plan_model & model, const memory_estimate & memory, bool from_disk) {
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
            machine.rig.push_back({ device.id, device.bandwidth, device.flops, device.link, rig.node_seconds });
            machine.timers.push_back(nullptr);
        }
    } else {
        for (size_t d = 1; d < memory.devices.size(); d++) {
            const std::string & id    = memory.devices[d].id;
            const auto          timer = timer_of(gpu_device(id), 1);
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

// The estimate for this machine, or with a rig for its CPU alone: what GPUs are here is not used then.
memory_estimate planner::remember(const plan_request & request, plan_model & model) {
    if (request.rig) {
        model.options.devices.clear();
        model.options.tensor_split.clear();
        model.options.gpu_layers       = 0;
        model.options.expert_ram_bytes = 0;
        return estimate_memory(model.file, model.inspection, model.options);
    }
    refuse_hopeless(model.file, model.inspection, model.options);
    const memory_estimate memory = fit_experts(model.file, model.inspection, model.options);
    refuse_unless_fits(memory, request.path);
    return memory;
}

json planner::make(const json & params, const std::function<void()> & check) {
    const plan_request                request = plan_request_parse(params);
    const std::lock_guard<std::mutex> one(mutex);
    const uint64_t                    engine = host_process_bytes();
    plan_model                        asked(request);
    const step_lengths                lengths = lengths_of(request, asked.options);
    const memory_estimate             memory  = remember(request, asked);
    const expert_layout &             layout  = asked.layout;
    check();
    const tier_plan plan = request.rig ? plan_for_rig(asked.file, *request.rig, memory, layout) : plan_as_loaded(asked.file, asked.inspection, asked.options, memory, layout);
    if (request.rig && !layout.empty() && plan.slots[0].front() < layout.experts) {
        asked.options.expert_ram_bytes = plan.needs[0].experts;
    }
    const hit_rates      hits(trace_path(request), layout, policy_at_load(asked.options), check);
    const plan_placement placement = placement_of(plan, layout, hits);
    const plan_machine   machine   = machine_for(request, asked, memory, std::any_of(placement.experts.begin(), placement.experts.end(), [](const expert_place_plan & layer) { return layer.absent > 0; }));
    check();
    planned_model       model(asked.file, asked.inspection, asked.options, request.rig.has_value());
    const step_forecast prefill = forecast_prompt(model, lengths.prompt, asked.options.batch, machine, placement);
    check();
    const step_forecast decode = forecast_step(price_step(model, 1, lengths.prompt + lengths.reply / 2, machine, placement), machine.rig);
    const bool          reads  = machine.read.per_expert > 0;
    return {
        { "memory", plan_memory_to_json(plan, machine, memory, request.rig, engine) },
        { "placement", tier_plan_to_json(plan, ids_of(machine), layout) },
        { "prefill", forecast_to_json(prefill, lengths.prompt) },
        { "decode", forecast_to_json(decode, 1) },
        { "promptTokens", lengths.prompt },
        { "replyTokens", lengths.reply },
        { "hitRate", hits_to_json(placement, hits, asked.options) },
        { "hardware", hardware_to_json(machine) },
        { "diskBandwidth", reads ? json(expert_bytes(layout.layers.front()) / machine.read.per_expert) : json(nullptr) },
        { "offloading", hits.suitability() },
        { "options", options_to_json(asked.options) },
    };
}

}  // namespace moebius
