#include "device-cost.h"

#include "rpc/errors.h"

#include <algorithm>
#include <chrono>

namespace moebius {

namespace {

// Of a batch in which each of some experts has the same number of tokens.
double device_seconds(device_ffn & ffn, const std::string & id, const expert_layout & layout, uint32_t layer, uint32_t experts, uint32_t tokens) {
    constexpr int                  runs   = 5;
    const size_t                   n_embd = size_t(layout.layers[layer].parts[0].n_in);
    std::vector<float>             input(n_embd * tokens, 0.1f);
    const row_view                 from{ reinterpret_cast<char *>(input.data()), n_embd * sizeof(float) };
    std::vector<device_assignment> assignments;
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t e = 0; e < experts; e++) {
            assignments.push_back({ t, e, 0, 1.0f });
        }
    }
    std::vector<double> times;
    for (int i = 0; i <= runs; i++) {
        const auto begin = std::chrono::steady_clock::now();
        if (!ffn.start(layer, from, assignments) || !ffn.wait()) {
            throw user_error("model.load-failed", id + " failed to compute with experts; the log has the reason. Load the model without experts there (expertDevices).",
                             { { "device", id } });
        }
        if (i > 0) {  // the first may compile shaders
            times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        }
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

}  // namespace

batch_cost measure_device(device_ffn & ffn, const std::string & id, const expert_layout & layout, uint32_t layer, uint32_t experts, uint32_t most) {
    const uint32_t tokens  = std::clamp(most, 2u, 32u);
    const double   one     = device_seconds(ffn, id, layout, layer, 1, 1);
    const double   several = device_seconds(ffn, id, layout, layer, experts, 1);
    const double   many    = device_seconds(ffn, id, layout, layer, experts, tokens);
    batch_cost     cost;
    cost.per_token  = std::max((many - several) / (experts * (tokens - 1)), 1e-9);
    cost.per_expert = experts > 1 ? std::max((several - one) / (experts - 1) - cost.per_token, 0.0) : 0;
    cost.fixed      = std::max(one - cost.per_expert - cost.per_token, 0.0);
    return cost;
}

}  // namespace moebius
