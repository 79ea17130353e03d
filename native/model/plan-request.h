// What plan.make is asked.
#pragma once

#include "rpc/errors.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moebius {

struct described_device {
    std::string id;
    uint64_t    memory    = 0;  // bytes
    double      bandwidth = 0;  // bytes a second
    double      flops     = 0;
    double      link      = 0;  // bytes a second between it and RAM
};

// Hardware that need not be here. What is left open is that of this machine.
struct described_rig {
    std::vector<described_device> devices;  // GPUs
    std::optional<uint64_t>       ram;      // bytes that the model may take
    std::optional<double>         ram_bandwidth, cpu_flops, disk_bandwidth;
    double                        node_seconds = 0;  // that a GPU needs for any node

    bool cpu_is_described() const { return ram_bandwidth || cpu_flops; }
};

struct plan_request {
    std::string                  path;
    const json *                 options = nullptr;  // LoadOptions; outlives the request
    std::optional<described_rig> rig;
    bool                         fold = false;  // seek the best split over the devices; with a rig always
    std::string                  trace;  // empty: none was named
    std::optional<uint32_t>      prompt_tokens, reply_tokens;
};

// Throws request.invalid. `params` outlives the request.
plan_request plan_request_parse(const json & params);

}  // namespace moebius
