#include "devices.h"

#include "experts/backend/expert-device.h"
#include "host.h"
#include "remote/link.h"
#include "remote/machines.h"

#include <cstring>

namespace moebius {

namespace {

const char * kind_name(enum ggml_backend_dev_type type) {
    switch (type) {
        case GGML_BACKEND_DEVICE_TYPE_CPU:
            return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_GPU:
            return "gpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU:
            return "igpu";
        default:
            return "accel";
    }
}

bool is_gpu(ggml_backend_dev_t device) {
    const auto type = ggml_backend_dev_type(device);
    return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

std::vector<ggml_backend_dev_t> all_devices() {
    std::vector<ggml_backend_dev_t> devices;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        devices.push_back(ggml_backend_dev_get(i));
    }
    const auto remote = remote_devices();
    devices.insert(devices.end(), remote.begin(), remote.end());
    return devices;
}

// Two backends (CUDA and Vulkan) may show the same card; they then agree on its PCI address.
bool same_card(ggml_backend_dev_t a, ggml_backend_dev_t b) {
    ggml_backend_dev_props of_a;
    ggml_backend_dev_props of_b;
    ggml_backend_dev_get_props(a, &of_a);
    ggml_backend_dev_get_props(b, &of_b);
    return of_a.device_id && of_b.device_id && std::strcmp(of_a.device_id, of_b.device_id) == 0;
}

}  // namespace

device_memory device_memory_now(ggml_backend_dev_t device) {
    if (!is_gpu(device)) {
        const host_memory memory = host_memory_now();
        return { memory.available, memory.total };
    }
    size_t free  = 0;
    size_t total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    return { free, total };
}

json devices_list() {
    json       list     = json::array();
    const auto defaults = default_gpu_ids();
    for (ggml_backend_dev_t device : all_devices()) {
        if (device == expert_device()) {
            continue;  // no hardware of its own
        }
        const device_memory memory = device_memory_now(device);
        list.push_back({
            { "id", ggml_backend_dev_name(device) },
            { "description", ggml_backend_dev_description(device) },
            { "kind", kind_name(ggml_backend_dev_type(device)) },
            { "backend", ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)) },
            { "memoryFree", memory.free },
            { "memoryTotal", memory.total },
            { "default", std::find(defaults.begin(), defaults.end(), ggml_backend_dev_name(device)) != defaults.end() },
        });
    }
    return { { "devices", std::move(list) } };
}

std::vector<std::string> default_gpu_ids() {
    std::vector<ggml_backend_dev_t> discrete;
    std::vector<ggml_backend_dev_t> integrated;
    for (ggml_backend_dev_t device : all_devices()) {
        const auto type = ggml_backend_dev_type(device);
        const auto seen = [device](ggml_backend_dev_t other) { return same_card(device, other); };
        if (remote_link_of(device)) {
            continue;
        }
        if (type == GGML_BACKEND_DEVICE_TYPE_GPU && std::none_of(discrete.begin(), discrete.end(), seen)) {
            discrete.push_back(device);
        }
        const bool first_backend = integrated.empty() || ggml_backend_dev_backend_reg(integrated.back()) ==
                                                             ggml_backend_dev_backend_reg(device);
        if (type == GGML_BACKEND_DEVICE_TYPE_IGPU && first_backend) {
            integrated.push_back(device);
        }
    }
    std::vector<std::string> ids;
    for (ggml_backend_dev_t device : discrete.empty() ? integrated : discrete) {
        ids.push_back(ggml_backend_dev_name(device));
    }
    return ids;
}

ggml_backend_dev_t gpu_device(const std::string & id) {
    const size_t at = id.find('@');
    if (id.compare(0, 3, "RPC") == 0 && at != std::string::npos) {
        remote_add(id.substr(at + 1));
    }
    json names = json::array();
    for (ggml_backend_dev_t device : all_devices()) {
        if (is_gpu(device)) {
            if (id == ggml_backend_dev_name(device)) {
                return device;
            }
            names.push_back(ggml_backend_dev_name(device));
        }
    }
    std::string list;
    for (const auto & name : names) {
        list += (list.empty() ? "" : ", ") + name.get<std::string>();
    }
    throw user_error("device.not-found",
                     "There is no GPU '" + id.substr(0, 100) + "'. " +
                         (list.empty() ? "This machine has none that can be used." : "There are: " + list + "."),
                     { { "device", id }, { "devices", names } });
}

std::vector<ggml_backend_dev_t> gpu_devices(const std::vector<std::string> & ids) {
    std::vector<ggml_backend_dev_t> devices;
    for (const std::string & id : ids) {
        devices.push_back(gpu_device(id));
    }
    return devices;
}

std::string device_id_of(ggml_backend_buffer_type_t type) {
    ggml_backend_dev_t device = ggml_backend_buft_get_device(type);
    // pinned host buffers belong to a GPU's backend, repacked weights are no host buffers: both are RAM
    if (!device || ggml_backend_buft_is_host(type) || !is_gpu(device)) {
        return cpu_device_id;
    }
    return ggml_backend_dev_name(device);
}

}  // namespace moebius
