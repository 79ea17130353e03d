// Recorded routing (.moetrace, see main/experts/trace-format.md) as the simulators replay it.
#pragma once

#include "router/shape.h"

#include <string>
#include <vector>

namespace moebius {

// Consecutive tokens of one sequence. What the engine evaluated as one batch is not recorded: whoever replays decides.
struct trace_record {
    uint32_t              sequence       = 0;
    uint32_t              first_position = 0;
    uint32_t              tokens         = 0;
    std::vector<uint16_t> experts;  // [token][row of shape][k]; observed_routes::not_computed where a layer was skipped
    std::vector<float>    weights;  // the same shape
};

struct routing_trace {
    std::string               model;
    router_shape              shape;
    std::vector<trace_record> records;        // in order of evaluation
    bool                      whole = true;   // false: the file ends in a cut or damaged record, which was left out

    uint64_t tokens() const;
};

// More is no model: tables of the simulators grow with these.
constexpr uint32_t trace_layers_limit  = 512;
constexpr uint32_t trace_experts_limit = 1024;

// Memory: one and a half times the size of the file at most, whatever its lengths claim. A record whose experts the model does not
// have, or whose weights are no numbers, counts as damaged. Throws file.not-found, file.unreadable, file.corrupt (not a trace),
// file.truncated (ends inside its header), file.version.
routing_trace trace_read(const std::string & path);

}  // namespace moebius
