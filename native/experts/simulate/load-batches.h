// Loads of experts, batch by batch: what the device simulator replays.
#pragma once

#include "experts/policy/token-assignment.h"
#include "trace.h"

#include <random>

namespace moebius {

struct load_batch {
    std::vector<std::vector<uint32_t>> tokens;    // of each expert: [layer][experts]
    std::vector<std::vector<int32_t>>  routes{};  // the experts of each token: [layer][tokens][used], -1 where the layer was skipped; empty: not known
    uint32_t                           used = 0;  // per token
    std::vector<std::vector<double>>   importance{};  // sum of each expert's squared gate weights: [layer][experts]; empty: not known

    // Of a layer.
    token_routes routes_of(size_t layer) const {
        static const std::vector<int32_t> none;
        return { routes.empty() ? none : routes[layer], used };
    }
};

// A recording as one stream of tokens, cut into batches of `batch_tokens` (at least 1); a rest that fills no batch is left out. The
// sequences come one after the other, or (`at_once`) a token of each in turn, as a server evaluates them.
std::vector<load_batch> load_batches(const routing_trace & trace, uint32_t batch_tokens, bool at_once);

struct synthetic_load_settings {
    uint32_t layers       = 4;
    uint32_t experts      = 64;
    uint32_t used         = 4;     // per token
    uint32_t batches      = 400;
    uint32_t batch_tokens = 512;
    double   skew         = 0.8;   // exponent of the Zipf law of the experts' popularity
    double   drift        = 0.02;  // standard deviation of the step of an expert's log popularity, per batch
    uint32_t topic        = 100;   // batches until all popularities are dealt anew; 0: never
    uint32_t seed         = 1;
};

// Tokens that choose experts by popularity, which drifts, and now and then jumps.
std::vector<load_batch> synthetic_loads(const synthetic_load_settings & settings);

}  // namespace moebius
