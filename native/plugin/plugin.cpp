// libggml-moebius-experts: the experts' device for stock llama.cpp programs of the same release, loaded by GGML_BACKEND_PATH. See README.md.
//
// It links nothing of ggml: the program's own libraries, which it is loaded into, resolve its symbols.
#include "experts/backend/expert-buffer.h"
#include "experts/backend/expert-device.h"
#include "experts/dispatch/expert-ffn.h"
#include "experts/store/expert-store.h"
#include "model/gguf-file.h"
#include "model/host.h"
#include "model/inspect.h"
#include "model/lazy-mapping.h"

#include <ggml-backend-impl.h>
#include <ggml-cpp.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using namespace moebius;

// --- the experts of the model that MOEBIUS_EXPERT_MODEL names, for the life of the process

struct plugin {
    expert_store       store;
    expert_buffer_type type{ store };
    lazy_mapping       unread;  // the program's loader would read the whole file
    std::once_flag     filled;
    ggml_threadpool_t  pool    = nullptr;
    int                threads = 0;  // of it

    plugin(const expert_layout & layout, const expert_store_settings & settings) : store(layout, settings) {}
};

plugin * loaded = nullptr;

// What the originals of the experts' device are, which is asked to do a little more here.
decltype(ggml_backend_device_i::init_backend)     original_init    = nullptr;
decltype(ggml_backend_reg_i::get_proc_address)    original_address = nullptr;

std::string variable(const char * name) {
    const char * value = std::getenv(name);
    return value ? value : "";
}

// Every expert if they take no more than three quarters of the free RAM.
uint64_t default_ram(const expert_layout & layout) {
    return std::min(expert_slots_most_bytes(layout), std::max(expert_slots_least_bytes(layout), host_memory_now().available / 4 * 3));
}

uint64_t wanted_ram(const expert_layout & layout) {
    const std::string text = variable("MOEBIUS_EXPERT_RAM");
    if (text.empty()) {
        return default_ram(layout);
    }
    char *         end   = nullptr;
    const uint64_t bytes = std::strtoull(text.c_str(), &end, 10);
    if (*end || text[0] == '-' || bytes == 0) {
        throw user_error("request.invalid", "MOEBIUS_EXPERT_RAM is '" + text + "'; it takes a number of bytes.");
    }
    return bytes;
}

std::string wanted_policy() {
    const std::string              name  = variable("MOEBIUS_EXPERT_POLICY").empty() ? "score" : variable("MOEBIUS_EXPERT_POLICY");
    const std::vector<std::string> known = cache_policy_names();
    if (std::find(known.begin(), known.end(), name) == known.end()) {
        std::string list;
        for (const std::string & each : known) {
            list += (list.empty() ? "" : ", ") + each;
        }
        throw user_error("request.invalid", "MOEBIUS_EXPERT_POLICY is '" + name + "'; it takes one of " + list + ".");
    }
    return name;
}

plugin * open_model() {
    const std::string path = variable("MOEBIUS_EXPERT_MODEL");
    if (path.empty()) {
        throw user_error("request.invalid", "MOEBIUS_EXPERT_MODEL is not set; it takes the path of the GGUF file that the program loads.");
    }
    const gguf_model    file   = gguf_open(path);
    const expert_layout layout = expert_layout_from(file, inspect_model(file));
    if (layout.empty() || !expert_ffn::supports(layout)) {
        throw user_error("model.unsupported", path + ": its experts are not in a form that the expert store takes (gate, up and down, or gate and up in one, in types that the CPU computes with).");
    }
    expert_store_settings settings;
    settings.ram_bytes = wanted_ram(layout);
    settings.policy    = wanted_policy();
    std::fprintf(stderr, "moebius-experts: %.1f MB of %.1f MB of experts in RAM, policy %s\n", double(std::min(settings.ram_bytes, layout.bytes())) / 1e6, double(layout.bytes()) / 1e6,
                 settings.policy.c_str());
    return new plugin(layout, settings);
}

// At the program's end.
void tell_what_was_done() {
    const expert_store_counters counted = loaded->store.counters();
    const expert_layer_counters uses    = counted.total();
    std::fprintf(stderr, "moebius-experts: computed %llu experts, read %.1f MB from disk\n", static_cast<unsigned long long>(uses.hits + uses.late + uses.misses),
                 double(counted.bytes_read) / 1e6);
}

// --- the experts' device

ggml_backend_t init_experts(ggml_backend_dev_t device, const char * parameters) {
    std::call_once(loaded->filled, [] { loaded->store.fill([](uint64_t, uint64_t) { return true; }); });
    return original_init(device, parameters);
}

// Threads that stay: the CPU backend would start others for every layer.
void set_threads(ggml_backend_t backend, int threads) {
    if (threads != loaded->threads) {
        ggml_backend_reg_t cpu     = ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
        const auto         create  = reinterpret_cast<decltype(ggml_threadpool_new) *>(ggml_backend_reg_get_proc_address(cpu, "ggml_threadpool_new"));
        const auto         destroy = reinterpret_cast<decltype(ggml_threadpool_free) *>(ggml_backend_reg_get_proc_address(cpu, "ggml_threadpool_free"));
        ggml_threadpool_params parameters = ggml_threadpool_params_default(threads);
        parameters.poll                   = 0;  // the program's own threads want the cores between two layers
        ggml_threadpool_t      next       = create(&parameters);
        loaded->store.pools               = { next, next };
        if (loaded->pool) {
            destroy(loaded->pool);
        }
        loaded->pool    = next;
        loaded->threads = threads;
    }
    reinterpret_cast<ggml_backend_set_n_threads_t>(original_address(expert_device()->reg, "ggml_backend_set_n_threads"))(backend, threads);
}

void * experts_address(ggml_backend_reg_t registry, const char * name) {
    return std::strcmp(name, "ggml_backend_set_n_threads") == 0 ? reinterpret_cast<void *>(set_threads) : original_address(registry, name);
}

// --- a device that computes nothing: `--override-tensor` finds buffer types by the devices whose default they are

const char * shelf_name(ggml_backend_dev_t) {
    return "ExpertStore";
}

const char * shelf_description(ggml_backend_dev_t) {
    return "where routed experts are kept";
}

void shelf_memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    *free = *total = 0;
}

enum ggml_backend_dev_type shelf_type(ggml_backend_dev_t) {
    return GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

void shelf_properties(ggml_backend_dev_t device, ggml_backend_dev_props * properties) {
    *properties             = {};
    properties->name        = shelf_name(device);
    properties->description = shelf_description(device);
    properties->type        = shelf_type(device);
}

ggml_backend_buffer_type_t shelf_buffer_type(ggml_backend_dev_t) {
    return loaded->type.get();
}

bool shelf_supports_op(ggml_backend_dev_t, const ggml_tensor *) {
    return false;
}

bool shelf_supports_buffer_type(ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
    return type == loaded->type.get();
}

const char * shelf_backend_name(ggml_backend_t) {
    return "ExpertStore";
}

void shelf_free(ggml_backend_t backend) {
    delete backend;
}

ggml_status shelf_compute(ggml_backend_t, ggml_cgraph *) {
    return GGML_STATUS_FAILED;
}

ggml_guid_t shelf_guid() {
    static ggml_guid value = { 0x6d, 0x6f, 0x65, 0x62, 0x69, 0x75, 0x73, 0x2d, 0x65, 0x78, 0x70, 0x65, 0x72, 0x74, 0x73, 0x32 };
    return &value;
}

ggml_backend_t shelf_init(ggml_backend_dev_t device, const char *) {
    ggml_backend_i calls{};
    calls.get_name      = shelf_backend_name;
    calls.free          = shelf_free;
    calls.graph_compute = shelf_compute;
    return new ggml_backend{ shelf_guid(), calls, device, nullptr };
}

const char * registry_name(ggml_backend_reg_t) {
    return "MoebiusExperts";
}

size_t registry_device_count(ggml_backend_reg_t) {
    return 1;
}

ggml_backend_dev_t registry_device(ggml_backend_reg_t registry, size_t) {
    static ggml_backend_device shelf = [registry] {
        ggml_backend_device_i calls{};
        calls.get_name        = shelf_name;
        calls.get_description = shelf_description;
        calls.get_memory      = shelf_memory;
        calls.get_type        = shelf_type;
        calls.get_props       = shelf_properties;
        calls.init_backend    = shelf_init;
        calls.get_buffer_type = shelf_buffer_type;
        calls.supports_op     = shelf_supports_op;
        calls.supports_buft   = shelf_supports_buffer_type;
        return ggml_backend_device{ calls, registry, nullptr };
    }();
    return &shelf;
}

void * registry_address(ggml_backend_reg_t, const char *) {
    return nullptr;
}

ggml_backend_reg registry = { GGML_BACKEND_API_VERSION, { registry_name, registry_device_count, registry_device, registry_address }, nullptr };

}  // namespace

#if defined(__GNUC__)
#    define MOEBIUS_EXPORT __attribute__((visibility("default")))
#else
#    define MOEBIUS_EXPORT
#endif

// Called by ggml once it has loaded the library; the CPU's backend is there already. Null: it is not used.
extern "C" MOEBIUS_EXPORT ggml_backend_reg_t ggml_backend_init() {
    if (loaded) {
        return &registry;  // programs load all backends several times
    }
    try {
        loaded = open_model();
    } catch (const user_error & error) {
        std::fprintf(stderr, "moebius-experts: %s\n", error.what());
        return nullptr;
    }
    std::atexit(tell_what_was_done);
    ggml_backend_dev_t experts           = expert_device();
    original_init                        = experts->iface.init_backend;
    experts->iface.init_backend          = init_experts;
    original_address                     = experts->reg->iface.get_proc_address;
    experts->reg->iface.get_proc_address = experts_address;
    return &registry;
}
