// placement-lossless REQUEST: runs a model with its experts in many places and compares every step with stock llama.cpp on the CPU.
//
// REQUEST is a JSON object {model, prompt (text), promptTokens, generate, batch, threads, tolerance (of a logit), vulkan, servers, runs}: `vulkan` or `servers`
// devices lend memory, and a run is {name, ram, budgets, adapts, cpuHelps, fetches, storm} as moebius_test::device_run has them. Prints a line
// of JSON for each run: steps, sameTokens and sameBitSteps (steps with the same likeliest token, and with the same logits to the bit),
// ties (another token, which stock llama.cpp finds as likely but for twice the largest difference), largestDifference of a logit, and what happened meanwhile. All steps being the same means that greedy decoding writes the same text.
//
// On devices that round otherwise a router may choose another expert where stock's is undecided, and what is written then is another model's
// word, as it would be with any other device of llama.cpp's. Such a run is done again: routerTies tells how often.
#include "model/devices.h"
#include "test/device-runs.h"
#include "test/rpc-servers.h"

#include <cstdio>
#include <cstring>
#include <fstream>

using namespace moebius;
using namespace moebius_test;

namespace {

std::vector<llama_token> tokens_of(const std::string & path, const std::string & text, size_t most) {
    llama_model_params parameters = llama_model_default_params();
    parameters.vocab_only         = true;
    const llama_model_ptr    model(llama_model_load_from_file(path.c_str(), parameters));
    std::vector<llama_token> tokens(text.size() + 2);
    const int32_t            count = llama_tokenize(llama_model_get_vocab(model.get()), text.data(), int32_t(text.size()), tokens.data(), int32_t(tokens.size()), true, false);
    if (count < int32_t(most)) {
        throw std::runtime_error("the prompt has " + std::to_string(count) + " tokens, not " + std::to_string(most));
    }
    tokens.resize(most);
    return tokens;
}

device_run read_run(const json & wanted, const json & request) {
    device_run how;
    how.ram       = wanted.value("ram", 1.0);
    how.budgets   = wanted.value("budgets", std::vector<double>());
    how.adapts    = wanted.value("adapts", true);
    how.cpu_helps = wanted.value("cpuHelps", true);
    how.fetches   = wanted.value("fetches", true);
    how.storm     = wanted.value("storm", false);
    how.batch     = request["batch"];
    how.threads   = request["threads"];
    return how;
}

json compare(const device_outcome & stock, const device_outcome & result) {
    const double difference = largest_difference(stock, result);
    uint32_t     tokens = 0, bits = 0, ties = 0;
    for (size_t i = 0; i < stock.tokens.size(); i++) {
        const float * const logits = stock.logits[i].data();
        const bool          same   = stock.tokens[i] == result.tokens[i];
        tokens += same ? 1 : 0;
        ties += !same && logits[stock.tokens[i]] - logits[result.tokens[i]] <= 2 * difference ? 1 : 0;
        bits += std::memcmp(stock.logits[i].data(), result.logits[i].data(), stock.logits[i].size() * sizeof(float)) == 0 ? 1 : 0;
    }
    return { { "steps", stock.tokens.size() }, { "sameTokens", tokens }, { "ties", ties }, { "sameBitSteps", bits }, { "largestDifference", difference }, { "onDevices", result.on_devices() },
             { "onCpu", result.on_cpu }, { "copied", result.copied() }, { "fetched", result.fetched() }, { "changes", result.changes }, { "misses", result.store.total().misses } };
}

constexpr double   undecided        = 1e-3;  // logits of a router
constexpr uint32_t router_ties_most = 2;

// Of the tokens whose next ones are generated: how much the last expert that a router chooses is above the first that it does not, the least of all layers.
struct router_gaps {
    int64_t             used;
    std::vector<double> of_steps;

    static bool look(ggml_tensor * node, bool ask, void * to) {
        if (std::strncmp(node->name, "ffn_moe_logits-", 15) != 0) {
            return false;
        }
        if (!ask) {
            auto &             self = *static_cast<router_gaps *>(to);
            std::vector<float> last(size_t(node->ne[0]));
            ggml_backend_tensor_get(node, last.data(), size_t(node->ne[1] - 1) * node->nb[1], last.size() * sizeof(float));
            std::sort(last.rbegin(), last.rend());
            self.of_steps.back() = std::min(self.of_steps.back(), double(last[size_t(self.used - 1)] - last[size_t(self.used)]));
        }
        return true;
    }
};

// [steps], with stock llama.cpp.
std::vector<double> router_gaps_of(const json & request, int64_t used, std::vector<llama_token> prompt, const std::vector<llama_token> & tokens) {
    llama_model_params model_parameters = llama_model_default_params();
    ggml_backend_dev_t no_device        = nullptr;
    model_parameters.devices            = &no_device;
    const llama_model_ptr model(llama_model_load_from_file(std::string(request["model"]).c_str(), model_parameters));
    router_gaps           gaps{ used, {} };
    llama_context_params  parameters = llama_context_default_params();
    parameters.n_ctx                 = uint32_t(prompt.size() + tokens.size());
    parameters.n_batch               = request["batch"];
    parameters.n_threads             = request["threads"];
    parameters.cb_eval               = router_gaps::look;
    parameters.cb_eval_user_data     = &gaps;
    const llama_context_ptr context(llama_init_from_model(model.get(), parameters));
    for (size_t at = 0; at < prompt.size(); at += parameters.n_batch) {
        gaps.of_steps.assign(1, INFINITY);
        CHECK(llama_decode(context.get(), llama_batch_get_one(prompt.data() + at, int32_t(std::min<size_t>(parameters.n_batch, prompt.size() - at)))) == 0);
    }
    for (size_t i = 0; i + 1 < tokens.size(); i++) {
        llama_token next = tokens[i];
        gaps.of_steps.push_back(INFINITY);
        CHECK(llama_decode(context.get(), llama_batch_get_one(&next, 1)) == 0);
    }
    return gaps.of_steps;
}

// Stock's router was undecided at the first step that differs by more than rounding.
bool router_tie(const device_outcome & stock, const device_outcome & result, const std::vector<double> & gaps, double tolerance) {
    for (size_t i = 0; i < stock.logits.size(); i++) {
        for (size_t j = 0; j < stock.logits[i].size(); j++) {
            if (std::fabs(stock.logits[i][j] - result.logits[i][j]) > tolerance) {
                return gaps[i] < undecided;
            }
        }
    }
    return false;
}

std::vector<ggml_backend_dev_t> lenders(const json & request, std::optional<rpc_servers> & servers) {
    if (const int count = request.value("servers", 0); count > 0) {
        return servers.emplace(count).devices();
    }
    std::vector<ggml_backend_dev_t> devices;
    for (int i = 0; i < request.value("vulkan", 0); i++) {
        devices.push_back(gpu_device("Vulkan" + std::to_string(i)));
    }
    return devices;
}

void run(const json & request) {
    start_llama();
    std::optional<rpc_servers> servers;
    const device_runs          runs(request["model"], lenders(request, servers));
    const auto                 prompt = tokens_of(request["model"], request["prompt"], request["promptTokens"]);
    device_run                 plain;
    plain.stock                = true;
    plain.batch                = request["batch"];
    plain.threads              = request["threads"];
    const uint32_t       steps = request["generate"];
    const device_outcome stock = runs.run(plain, prompt, steps);
    const auto           gaps  = router_gaps_of(request, runs.layout.used, prompt, stock.tokens);
    for (const json & wanted : request["runs"]) {
        const auto     began  = std::chrono::steady_clock::now();
        device_outcome result = runs.run(read_run(wanted, request), prompt, steps, stock.tokens);
        uint32_t       ties   = 0;
        for (; ties < router_ties_most && router_tie(stock, result, gaps, request["tolerance"]); ties++) {
            result = runs.run(read_run(wanted, request), prompt, steps, stock.tokens);
        }
        json line          = compare(stock, result);
        line["routerTies"] = ties;
        line["name"]       = wanted["name"];
        line["seconds"]   = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        std::printf("%s\n", line.dump().c_str());
        std::fflush(stdout);
    }
}

}  // namespace

int main(int count, char ** words) {
    if (count != 2) {
        std::fprintf(stderr, "usage: placement-lossless REQUEST (JSON, see the source)\n");
        return 2;
    }
    try {
        run(json::parse(words[1]));
        return failures == 0 ? 0 : 1;
    } catch (const std::exception & error) {
        std::fprintf(stderr, "placement-lossless: %s\n", error.what());
        return 1;
    }
}
