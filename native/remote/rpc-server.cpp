// moebius-rpc-server: lends this machine's devices to programs on others, over llama.cpp's RPC protocol.
#include "model/backends.h"
#include "model/devices.h"
#include "model/host.h"
#include "served-memory.h"

#include <ggml-rpc.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

using namespace moebius;

struct options {
    std::string              host    = "127.0.0.1";
    int                      port    = 50052;
    int                      threads = int(std::max(1u, std::thread::hardware_concurrency() / 2));
    uint64_t                 memory  = 0;
    std::vector<std::string> devices;
};

constexpr const char * usage =
    "usage: moebius-rpc-server [--host IPV4] [--port PORT, 0: any] [--threads N] [--memory BYTES] [--device ID]...\n";

int64_t number_of(const std::string & name, const char * text, int64_t least, int64_t most) {
    char *        end   = nullptr;
    const int64_t value = std::strtoll(text, &end, 10);
    if (end == text || *end || value < least || value > most) {
        throw user_error("request.invalid", name + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) + ", not '" + text + "'.");
    }
    return value;
}

options parse(int count, char ** texts) {
    options result;
    for (int i = 1; i < count; i += 2) {
        const std::string name = texts[i];
        if (i + 1 == count) {
            throw user_error("request.invalid", name + " is unknown or lacks its value.");
        }
        const char * value = texts[i + 1];
        if (name == "--host") {
            result.host = value;
        } else if (name == "--port") {
            result.port = int(number_of(name, value, 0, 65535));
        } else if (name == "--threads") {
            result.threads = int(number_of(name, value, 1, 1024));
        } else if (name == "--memory") {
            result.memory = uint64_t(number_of(name, value, 1, INT64_MAX));
        } else if (name == "--device") {
            result.devices.push_back(value);
        } else {
            throw user_error("request.invalid", name + " is unknown.");
        }
    }
    return result;
}

// Those that are named, else the GPUs, else the CPU.
std::vector<ggml_backend_dev_t> devices_of(const options & wanted) {
    std::vector<std::string> ids = wanted.devices;
    if (ids.empty()) {
        ids = default_gpu_ids();
    }
    std::vector<ggml_backend_dev_t> devices;
    for (const std::string & id : ids) {
        devices.push_back(id == cpu_device_id ? ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) : gpu_device(id));
    }
    if (devices.empty()) {
        devices.push_back(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    }
    return devices;
}

}  // namespace

int main(int count, char ** texts) {
    try {
        const options wanted = parse(count, texts);
        if (wanted.host.compare(0, 4, "127.") != 0) {
            std::fprintf(stderr, "WARNING: everybody who reaches %s can use this machine's memory and read what models compute here: the protocol knows no password and no encryption. Use it in a network that you trust.\n",
                         wanted.host.c_str());
        }
        host_return_freed_memory();
        backends_load();
        served_memory_limit(wanted.memory);
        auto              devices  = devices_of(wanted);
        const std::string endpoint = wanted.host + ":" + std::to_string(wanted.port);
        ggml_backend_rpc_start_server(endpoint.c_str(), nullptr, size_t(wanted.threads), devices.size(), devices.data());
        std::fprintf(stderr, "%s cannot be listened on: it is no IPv4 address of this machine, or the port is taken.\n", endpoint.c_str());
        return 1;
    } catch (const user_error & error) {
        std::fprintf(stderr, "%s\n%s", error.what(), usage);
        return 2;
    }
}
