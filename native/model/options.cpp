#include "options.h"

#include "devices.h"
#include "remote/machines.h"
#include "experts/policy/cache-policy.h"
#include "experts/store/low-precision.h"
#include "host.h"
#include "rpc/parameters.h"

#include <algorithm>
#include <set>

namespace moebius {

namespace {

std::vector<std::string> policies_or_auto() {
    std::vector<std::string> names = cache_policy_names();
    names.push_back("auto");
    return names;
}

constexpr uint32_t default_context_limit = 8192;

constexpr struct {
    const char * name;
    ggml_type    type;
} kv_types[] = {
    { "f32", GGML_TYPE_F32 },   { "f16", GGML_TYPE_F16 },   { "bf16", GGML_TYPE_BF16 }, { "q8_0", GGML_TYPE_Q8_0 },
    { "q5_1", GGML_TYPE_Q5_1 }, { "q5_0", GGML_TYPE_Q5_0 }, { "q4_1", GGML_TYPE_Q4_1 }, { "q4_0", GGML_TYPE_Q4_0 },
};

constexpr struct {
    const char *          name;
    llama_flash_attn_type type;
} flash_attention_types[] = {
    { "auto", LLAMA_FLASH_ATTN_TYPE_AUTO },
    { "on", LLAMA_FLASH_ATTN_TYPE_ENABLED },
    { "off", LLAMA_FLASH_ATTN_TYPE_DISABLED },
};

template <typename Table> std::vector<std::string> names_of(const Table & table) {
    std::vector<std::string> names;
    for (const auto & row : table) {
        names.push_back(row.name);
    }
    return names;
}

// Replaces `target` by the type that the parameter names, if it is given.
template <typename Table, typename Type>
void read_choice(parameters & source, const char * key, const Table & table, Type & target) {
    const auto choice = source.optional_choice(key, names_of(table));
    for (const auto & row : table) {
        if (choice && *choice == row.name) {
            target = row.type;
        }
    }
}

template <typename Table, typename Type> std::string name_in(const Table & table, Type type) {
    for (const auto & row : table) {
        if (row.type == type) {
            return row.name;
        }
    }
    return "";
}

void read_devices(parameters & source, load_options & options) {
    const auto wanted = source.optional_strings("devices");
    if (!wanted) {
        options.devices = default_gpu_ids();
    } else {
        std::set<std::string> seen;
        for (const std::string & id : *wanted) {
            if (id == cpu_device_id) {
                continue;  // always there
            }
            gpu_device(id);
            if (!seen.insert(id).second) {
                source.refuse("devices", "names '" + id + "' twice");
            }
            options.devices.push_back(id);
        }
    }
    for (const std::string & endpoint : source.optional_strings("machines").value_or(std::vector<std::string>())) {
        for (const std::string & id : remote_ids(endpoint)) {
            if (std::find(options.devices.begin(), options.devices.end(), id) == options.devices.end()) {
                options.devices.push_back(id);
            }
        }
    }
    if (options.devices.size() > llama_max_devices()) {
        source.refuse("devices", "names " + std::to_string(options.devices.size()) + " GPUs, llama.cpp can use " +
                                     std::to_string(llama_max_devices()));
    }
}

void read_tensor_split(parameters & source, load_options & options) {
    const auto split = source.optional_numbers("tensorSplit", 0, 1e9);
    if (!split || split->empty()) {
        return;
    }
    if (split->size() != options.devices.size()) {
        source.refuse("tensorSplit", "must have one number per GPU in use: " + std::to_string(options.devices.size()) +
                                         ", not " + std::to_string(split->size()));
    }
    options.tensor_split.assign(split->begin(), split->end());
    if (std::all_of(split->begin(), split->end(), [](double share) { return share == 0; })) {
        source.refuse("tensorSplit", "must not be all zero");
    }
}

void read_expert_devices(parameters & source, load_options & options, bool has_experts) {
    const json * list = source.optional_array("expertDevices");
    if (list) {
        options.expert_devices = expert_devices_parse(*list, "options.expertDevices");
    }
    if (!has_experts) {
        options.expert_devices.emplace();
    }
    if (list && !options.expert_devices->empty() && options.expert_ram_bytes == uint64_t(0)) {
        source.refuse("expertDevices", "needs RAM for experts too: leave expertRamBytes out, or give it more than 0 bytes");
    }
}

void read_context(parameters & source, load_options & options, int64_t trained_context) {
    const int64_t known    = trained_context > 0 ? trained_context : default_context_limit;
    options.context_length = uint32_t(source.optional_integer("contextLength", 8, 16777216)
                                          .value_or(std::clamp<int64_t>(known, 8, default_context_limit)));
    options.sequences      = uint32_t(source.optional_integer("sequences", 1, 64).value_or(options.sequences));
    options.batch          = uint32_t(source.optional_integer("batch", 1, 16384).value_or(options.batch));
}

}  // namespace

replica_precision replica_precision_parse(const json & choice, const char * where) {
    parameters        fields(choice, where);
    replica_precision parsed;
    const auto        type = fields.optional_choice("type", low_precision_names());
    const auto        share = fields.optional_number("share", 0, 1);
    if (!type || !share) {
        fields.refuse(type ? "share" : "type", "is missing");
    }
    parsed.type  = *type;
    parsed.share = *share;
    fields.finish();
    return parsed;
}

json replica_precision_to_json(const replica_precision & choice) {
    return { { "type", choice.type }, { "share", choice.share } };
}

std::vector<expert_budget> expert_devices_parse(const json & list, const char * where) {
    std::vector<expert_budget> devices;
    std::set<std::string>      seen;
    for (const json & entry : list) {
        parameters    fields(entry, where);
        expert_budget device{ fields.string("id"), uint64_t(fields.integer("bytes", 0, int64_t(1) << 53)) };
        fields.finish();
        gpu_device(device.id);
        if (!seen.insert(device.id).second) {
            fields.refuse("id", "names '" + device.id + "' twice");
        }
        devices.push_back(std::move(device));
    }
    return devices;
}

load_options options_parse(const json * json_options, const json & inspection) {
    load_options  options;
    const json    none = json::object();
    parameters    source(json_options ? *json_options : none, "options");
    read_context(source, options, inspection.at("contextLength").get<int64_t>());

    const auto threads    = source.optional_integer("threads", 1, 512);
    options.threads       = int32_t(threads ? *threads : host_physical_cores());
    options.threads_batch = int32_t(source.optional_integer("threadsBatch", 1, 512).value_or(options.threads));

    read_devices(source, options);
    read_tensor_split(source, options);
    const int64_t all_layers    = inspection.at("layerCount").get<int64_t>() + 1;  // and the output layer
    const int64_t wanted_layers = source.optional_integer("gpuLayers", 0, 100000).value_or(all_layers);
    options.gpu_layers          = options.devices.empty() ? 0 : int32_t(std::min(wanted_layers, all_layers));

    const int64_t moe_layers  = int64_t(inspection.at("moeLayers").size());
    options.cpu_expert_layers = int32_t(std::min(source.optional_integer("cpuExpertLayers", 0, INT32_MAX).value_or(0), moe_layers));

    if (const auto bytes = source.optional_integer("expertRamBytes", 0, int64_t(1) << 53)) {
        options.expert_ram_bytes = uint64_t(*bytes);
    }
    if (moe_layers == 0) {
        options.expert_ram_bytes = 0;
    }
    options.expert_policy = source.optional_choice("expertPolicy", policies_or_auto()).value_or(options.expert_policy);
    options.slot_allocation = source.optional_choice("slotAllocation", { "auto", "uniform", "marginal", "shallow" }).value_or(options.slot_allocation);
    options.expert_prefetch = source.optional_choice("expertPrefetch", prefetch_modes()).value_or("auto") == "auto";
    options.expert_storage = source.optional_choice("expertStorage", { "auto", "slots", "ring" }).value_or(options.expert_storage);
    options.expert_layout = source.optional_choice("expertLayout", { "auto", "off" }).value_or("auto") == "auto";
    read_expert_devices(source, options, moe_layers > 0);
    options.expert_replication = source.optional_boolean("expertReplication").value_or(options.expert_replication);
    if (const json * choice = source.optional_object("expertReplicaPrecision")) {
        options.expert_replica_precision = replica_precision_parse(*choice, "expertReplicaPrecision");
    }

    if (const json * wanted = source.optional_object("lossyExperts")) {
        options.lossy = lossy_parse(*wanted);
        if (options.expert_ram_bytes == uint64_t(0) && !options.lossy.off()) {
            source.refuse("lossyExperts", moe_layers == 0 ? "needs a model with routed experts" : "needs experts on disk: leave expertRamBytes out, or give it more than 0 bytes");
        }
    }

    read_choice(source, "kvTypeK", kv_types, options.kv_type_k);
    read_choice(source, "kvTypeV", kv_types, options.kv_type_v);
    read_choice(source, "flashAttention", flash_attention_types, options.flash_attention);
    if (ggml_is_quantized(options.kv_type_v) && options.flash_attention == LLAMA_FLASH_ATTN_TYPE_DISABLED) {
        source.refuse("kvTypeV", "can only be quantised with flash attention; set flashAttention to 'auto' or 'on'");
    }
    options.memory_map = source.optional_boolean("memoryMap").value_or(options.memory_map) && llama_supports_mmap();
    options.telemetry  = source.optional_boolean("telemetry").value_or(options.telemetry);
    if (source.optional_boolean("vocabularyOnly").value_or(false)) {
        source.refuse("vocabularyOnly", "is for loading alone: without weights there is nothing to estimate or to plan");
    }
    source.finish();
    return options;
}

bool options_vocabulary_only(const json * options) {
    if (!options || !options->is_object() || options->value("vocabularyOnly", json()) != json(true)) {
        return false;
    }
    if (options->size() > 1) {
        parameters(*options, "options").refuse("vocabularyOnly", "goes alone: the other options are about weights, which are not read");
    }
    return true;
}

std::string policy_at_load(const load_options & options) {
    return options.expert_policy == "auto" ? default_expert_policy : options.expert_policy;
}

const std::vector<std::string> & prefetch_modes() {
    static const std::vector<std::string> modes = { "off", "auto" };
    return modes;
}

const char * prefetch_mode(bool on) {
    return on ? "auto" : "off";
}

json options_to_json(const load_options & options) {
    json result = {
        { "contextLength", options.context_length },
        { "sequences", options.sequences },
        { "batch", options.batch },
        { "threads", options.threads },
        { "threadsBatch", options.threads_batch },
        { "gpuLayers", options.gpu_layers },
        { "devices", options.devices },
        { "cpuExpertLayers", options.cpu_expert_layers },
        { "expertPolicy", options.expert_policy },
        { "slotAllocation", options.slot_allocation },
        { "expertPrefetch", prefetch_mode(options.expert_prefetch) },
        { "expertStorage", options.expert_storage },
        { "expertLayout", options.expert_layout ? "auto" : "off" },
        { "kvTypeK", name_in(kv_types, options.kv_type_k) },
        { "kvTypeV", name_in(kv_types, options.kv_type_v) },
        { "flashAttention", name_in(flash_attention_types, options.flash_attention) },
        { "memoryMap", options.memory_map },
        { "telemetry", options.telemetry },
    };
    if (options.expert_ram_bytes) {
        result["expertRamBytes"] = *options.expert_ram_bytes;
    }
    if (options.expert_devices) {
        result["expertReplication"] = options.expert_replication;
        if (options.expert_replica_precision) {
            result["expertReplicaPrecision"] = replica_precision_to_json(*options.expert_replica_precision);
        }
        result["expertDevices"]     = json::array();
        for (const expert_budget & device : *options.expert_devices) {
            result["expertDevices"].push_back({ { "id", device.id }, { "bytes", device.bytes } });
        }
    }
    if (!options.lossy.off()) {
        result["lossyExperts"] = lossy_request_to_json(options.lossy);
    }
    if (!options.tensor_split.empty()) {
        result["tensorSplit"] = options.tensor_split;
    }
    return result;
}

}  // namespace moebius
