#include "plan-request.h"

#include "experts/policy/token-split.h"
#include "rpc/parameters.h"

namespace moebius {

namespace {

constexpr int64_t bytes_most        = int64_t(1) << 53;
constexpr double  rate_most         = 1e18;
constexpr size_t  devices_limit     = devices_most;
constexpr double  usual_node_seconds = 5e-6;  // starting a kernel

double needed_number(parameters & source, const char * key) {
    const auto value = source.optional_number(key, 1, rate_most);
    if (!value) {
        source.refuse(key, "is missing");
    }
    return *value;
}

described_device parse_device(const json & value, size_t index) {
    const std::string where = "rig.devices[" + std::to_string(index) + "]";
    parameters        source(value, where);
    described_device  device;
    device.id        = source.optional_string("id", 1).value_or("GPU" + std::to_string(index));
    device.memory    = uint64_t(source.integer("memoryBytes", 1, bytes_most));
    device.bandwidth = needed_number(source, "bandwidth");
    device.flops     = needed_number(source, "flops");
    device.link      = needed_number(source, "linkBandwidth");
    source.finish();
    return device;
}

described_rig parse_rig(const json & value) {
    parameters    source(value, "rig");
    described_rig rig;
    if (const json * devices = source.optional_array("devices")) {
        if (devices->size() > devices_limit) {
            source.refuse("devices", "has " + std::to_string(devices->size()) + " devices, the most are " + std::to_string(devices_limit));
        }
        for (size_t i = 0; i < devices->size(); i++) {
            if (!devices->at(i).is_object()) {
                source.refuse("devices", "must hold objects");
            }
            rig.devices.push_back(parse_device(devices->at(i), i));
        }
    }
    if (const auto bytes = source.optional_integer("ramBytes", 1, bytes_most)) {
        rig.ram = uint64_t(*bytes);
    }
    rig.ram_bandwidth  = source.optional_number("ramBandwidth", 1, rate_most);
    rig.cpu_flops      = source.optional_number("cpuFlops", 1, rate_most);
    rig.disk_bandwidth = source.optional_number("diskBandwidth", 1, rate_most);
    rig.node_seconds   = source.optional_number("nodeSeconds", 0, 1).value_or(usual_node_seconds);
    source.finish();
    return rig;
}

}  // namespace

plan_request plan_request_parse(const json & params) {
    parameters   source(params);
    plan_request request;
    request.path    = source.string("path", 1);
    request.options = source.optional_object("options");
    if (const json * rig = source.optional_object("rig")) {
        request.rig = parse_rig(*rig);
    }
    request.fold  = source.optional_boolean("fold").value_or(false);
    request.trace = source.optional_string("trace", 1).value_or("");
    if (const auto tokens = source.optional_integer("promptTokens", 1, 1 << 24)) {
        request.prompt_tokens = uint32_t(*tokens);
    }
    if (const auto tokens = source.optional_integer("replyTokens", 1, 1 << 24)) {
        request.reply_tokens = uint32_t(*tokens);
    }
    source.finish();
    return request;
}

}  // namespace moebius
