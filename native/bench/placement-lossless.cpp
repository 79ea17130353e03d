// placement-lossless REQUEST: runs a model with its experts in many places and compares every step with stock llama.cpp on the CPU.
//
// REQUEST is a JSON object {model, prompt (text), promptTokens, generate, batch, threads, vulkan, servers, runs}: `vulkan` or `servers`
// devices lend memory, and a run is {name, ram, budgets, adapts, cpuHelps, fetches, storm} as moebius_test::device_run has them. Prints a line
// of JSON for each run: steps, sameTokens and sameBitSteps (steps with the same likeliest token, and with the same logits to the bit),
// ties (another token, which stock llama.cpp finds as likely but for twice the largest difference), largestDifference of a logit, and what happened meanwhile. All steps being the same means that greedy decoding writes the same text.
#include "model/devices.h"
#include "test/device-runs.h"
#include "test/rpc-servers.h"

#include <cstdio>
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
    for (const json & wanted : request["runs"]) {
        const auto began  = std::chrono::steady_clock::now();
        json       line   = compare(stock, runs.run(read_run(wanted, request), prompt, steps, stock.tokens));
        line["name"]      = wanted["name"];
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
