#include "machines.h"

#include "link.h"
#include "rpc-client.h"

#include <algorithm>
#include <mutex>

namespace moebius {

namespace {

struct machine {
    std::string                     endpoint;
    std::vector<ggml_backend_dev_t> devices;
};

struct machine_list {
    std::mutex           mutex;
    std::mutex           adding;  // one connection at a time
    std::vector<machine> machines;
    std::vector<machine> known;  // those that were removed, too
};

machine_list & all() {
    static machine_list list;
    return list;
}

auto find_machine(std::vector<machine> & machines, const std::string & endpoint) {
    return std::find_if(machines.begin(), machines.end(), [&](const machine & each) { return each.endpoint == endpoint; });
}

void check_endpoint(const std::string & endpoint) {
    const size_t colon = endpoint.find(':');
    const size_t text  = colon == std::string::npos ? 0 : endpoint.size() - colon - 1;
    const bool   host  = colon != std::string::npos && colon > 0 && colon <= 253 &&
                      std::all_of(endpoint.begin(), endpoint.begin() + long(colon), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; });
    const bool digits = text > 0 && text <= 5 && std::all_of(endpoint.end() - long(text), endpoint.end(), [](unsigned char c) { return std::isdigit(c); });
    const int  port   = digits ? std::stoi(endpoint.substr(colon + 1)) : 0;
    if (!host || port < 1 || port > 65535) {
        throw user_error("request.invalid",
                         "'" + endpoint.substr(0, 100) + "' is no address of a machine. Give host:port, a name or an IPv4 address and a port from 1 to 65535, as in 192.168.1.20:50052.",
                         { { "parameter", "endpoint" } });
    }
}

[[noreturn]] void unreachable(const std::string & endpoint, const std::string & reason) {
    throw user_error("device.unreachable",
                     "Machine " + endpoint + " cannot be used: " + reason + ". Start `moebius rpc-server` there, see that its port is open to this machine, and that nobody else uses it: " +
                         "it serves one program at a time.",
                     { { "endpoint", endpoint }, { "reason", reason } });
}

}  // namespace

void remote_add(const std::string & endpoint) {
    check_endpoint(endpoint);
    machine_list &                    list = all();
    const std::lock_guard<std::mutex> one(list.adding);
    {
        const std::lock_guard<std::mutex> lock(list.mutex);
        if (find_machine(list.machines, endpoint) != list.machines.end()) {
            return;
        }
    }
    const uint32_t count = rpc_device_count(endpoint);
    machine        added{ endpoint, count > 0 ? rpc_devices(endpoint) : std::vector<ggml_backend_dev_t>() };
    const auto &   link = remote_link_to(endpoint);
    if (count == 0 || link.lost()) {
        unreachable(endpoint, link.lost() ? link.reason() : "it offers no device");
    }
    if (added.devices.size() != count) {
        unreachable(endpoint, "it offers " + std::to_string(count) + " devices and had " + std::to_string(added.devices.size()) + " before; restart this program to use it as it is now");
    }
    for (ggml_backend_dev_t device : added.devices) {
        remote_link_attach(device, link);
    }
    const std::lock_guard<std::mutex> lock(list.mutex);
    if (find_machine(list.known, endpoint) == list.known.end()) {
        list.known.push_back(added);
    }
    list.machines.push_back(std::move(added));
}

std::vector<std::string> remote_ids(const std::string & endpoint) {
    remote_add(endpoint);
    machine_list &                    list = all();
    const std::lock_guard<std::mutex> lock(list.mutex);
    std::vector<std::string>          ids;
    for (ggml_backend_dev_t device : find_machine(list.known, endpoint)->devices) {
        ids.push_back(ggml_backend_dev_name(device));
    }
    return ids;
}

void remote_remove(const std::string & endpoint) {
    machine_list &                    list = all();
    const std::lock_guard<std::mutex> lock(list.mutex);
    const auto                        found = find_machine(list.machines, endpoint);
    if (found == list.machines.end()) {
        throw user_error("device.not-found", "There is no machine '" + endpoint.substr(0, 100) + "'.", { { "device", endpoint } });
    }
    list.machines.erase(found);
}

std::vector<ggml_backend_dev_t> remote_devices() {
    machine_list &                    list = all();
    const std::lock_guard<std::mutex> lock(list.mutex);
    std::vector<ggml_backend_dev_t>   devices;
    for (const machine & each : list.machines) {
        devices.insert(devices.end(), each.devices.begin(), each.devices.end());
    }
    return devices;
}

json remote_list() {
    machine_list &                    list = all();
    const std::lock_guard<std::mutex> lock(list.mutex);
    json                              machines = json::array();
    for (const machine & each : list.machines) {
        const remote_link & link = remote_link_to(each.endpoint);
        json                ids  = json::array();
        for (ggml_backend_dev_t device : each.devices) {
            ids.push_back(ggml_backend_dev_name(device));
        }
        machines.push_back({ { "endpoint", each.endpoint }, { "devices", std::move(ids) }, { "lost", link.lost() ? json(link.reason()) : json(nullptr) } });
    }
    return { { "machines", std::move(machines) } };
}

}  // namespace moebius
