// What stock llama.cpp makes of three prompts: greedy tokens, logits and expert ids, as JSON on stdout.
// Uses only public headers (llama.h, ggml.h, ggml-backend.h) and nothing of Moebius. README.md says how to build and run it.
#include <ggml-backend.h>
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

static const char * const PROMPTS[] = {
    "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\n",
    "In the beginning God created",
    "static int parse_args(int argc, char ** argv) {\n",
};

constexpr int GREEDY_TOKENS = 48;
constexpr int TOP_LOGITS    = 64;

struct route_log {
    std::vector<std::vector<int>> layers;  // [layer][token * used + k]
};

// Called before and after every node: asks for `ffn_moe_topk-<layer>` and reads its ids. A view [used, tokens]: mind nb[1].
static bool observe(ggml_tensor * node, bool ask, void * user) {
    const char prefix[] = "ffn_moe_topk-";
    if (std::strncmp(node->name, prefix, sizeof(prefix) - 1) != 0) {
        return false;
    }
    if (ask) {
        return true;
    }
    auto &       log   = *static_cast<route_log *>(user);
    const size_t layer = size_t(std::atoi(node->name + sizeof(prefix) - 1));
    if (log.layers.size() <= layer) {
        log.layers.resize(layer + 1);
    }
    std::vector<char> bytes(ggml_nbytes(node));
    ggml_backend_tensor_get(node, bytes.data(), 0, bytes.size());
    for (int64_t token = 0; token < node->ne[1]; ++token) {
        for (int64_t k = 0; k < node->ne[0]; ++k) {
            int32_t expert;
            std::memcpy(&expert, bytes.data() + size_t(token) * node->nb[1] + size_t(k) * node->nb[0], sizeof(expert));
            log.layers[layer].push_back(expert);
        }
    }
    return true;
}

// the prompts hold no other characters that JSON wants escaped
static std::string json_escape(const std::string & text) {
    std::string result;
    for (const char c : text) {
        result += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return result;
}

static void print_ids(const char * name, const std::vector<int> & ids) {
    std::printf("\"%s\": [", name);
    for (size_t i = 0; i < ids.size(); ++i) {
        std::printf("%s%d", i > 0 ? "," : "", ids[i]);
    }
    std::printf("]");
}

static void print_routes(const char * name, const route_log & log) {
    std::printf("\"%s\": [", name);
    for (size_t layer = 0; layer < log.layers.size(); ++layer) {
        std::printf("%s[", layer > 0 ? "," : "");
        for (size_t i = 0; i < log.layers[layer].size(); ++i) {
            std::printf("%s%d", i > 0 ? "," : "", log.layers[layer][i]);
        }
        std::printf("]");
    }
    std::printf("]");
}

static void print_top(const std::vector<float> & logits) {
    std::vector<int> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + TOP_LOGITS, order.end(), [&](int a, int b) { return logits[size_t(a)] > logits[size_t(b)]; });
    std::printf("\"logitsOfLastPromptToken\": {");
    for (int i = 0; i < TOP_LOGITS; ++i) {
        std::printf("%s\"%d\": %.9g", i > 0 ? ", " : "", order[size_t(i)], double(logits[size_t(order[size_t(i)])]));
    }
    std::printf("}");
}

static llama_context * make_context(llama_model * model, route_log & log) {
    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx                = 512;
    parameters.n_batch = parameters.n_ubatch = 256;
    parameters.n_threads = parameters.n_threads_batch = 2;
    parameters.cb_eval                                = observe;
    parameters.cb_eval_user_data                      = &log;
    return llama_init_from_model(model, parameters);
}

// Decodes `tokens` in one batch and gives the logits of the last. Ends the program if llama.cpp cannot.
static std::vector<float> decode(llama_context * context, std::vector<llama_token> & tokens, size_t vocabulary) {
    if (llama_decode(context, llama_batch_get_one(tokens.data(), int32_t(tokens.size()))) != 0) {
        std::fprintf(stderr, "llama_decode failed\n");
        std::exit(1);
    }
    const float * logits = llama_get_logits_ith(context, -1);
    return std::vector<float>(logits, logits + vocabulary);
}

static void run_prompt(llama_model * model, const std::string & prompt, const char * separator) {
    route_log           log;
    llama_context *     context    = make_context(model, log);
    const llama_vocab * vocab      = llama_model_get_vocab(model);
    const size_t        vocabulary = size_t(llama_vocab_n_tokens(vocab));

    std::vector<llama_token> tokens(prompt.size() + 2);
    tokens.resize(size_t(llama_tokenize(vocab, prompt.data(), int32_t(prompt.size()), tokens.data(), int32_t(tokens.size()), true, true)));
    const std::vector<int> prompt_tokens(tokens.begin(), tokens.end());

    std::vector<float>       logits       = decode(context, tokens, vocabulary);
    const std::vector<float> first_logits = logits;
    const route_log          prompt_log   = log;
    log.layers.clear();
    std::vector<int> greedy;
    while (true) {
        greedy.push_back(int(std::max_element(logits.begin(), logits.end()) - logits.begin()));
        if (int(greedy.size()) == GREEDY_TOKENS || llama_vocab_is_eog(vocab, greedy.back())) {
            break;
        }
        tokens = { greedy.back() };
        logits = decode(context, tokens, vocabulary);
    }
    std::printf("  {\"prompt\": \"%s\",\n   ", json_escape(prompt).c_str());
    print_ids("promptTokens", prompt_tokens);
    std::printf(",\n   ");
    print_top(first_logits);
    std::printf(",\n   ");
    print_routes("expertsOfPrompt", prompt_log);
    std::printf(",\n   ");
    print_ids("greedy", greedy);
    std::printf(",\n   ");
    print_routes("expertsOfGreedy", log);
    std::printf("}%s\n", separator);
    llama_free(context);
}

int main(int argument_count, char ** arguments) {
    if (argument_count != 3) {
        std::fprintf(stderr, "usage: %s FOLDER_OF_BACKENDS MODEL.gguf > reference.json\n", arguments[0]);
        return 2;
    }
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    ggml_backend_load_all_from_path(arguments[1]);
    llama_model_params parameters = llama_model_default_params();
    parameters.n_gpu_layers       = 0;
    llama_model * model           = llama_model_load_from_file(arguments[2], parameters);
    if (model == nullptr) {
        std::fprintf(stderr, "cannot load %s\n", arguments[2]);
        return 1;
    }
    std::printf("{\"engine\": \"llama.cpp %s CPU, F16 KV cache, default flash attention\",\n \"cases\": [\n", llama_version());
    for (size_t i = 0; i < 3; ++i) {
        run_prompt(model, PROMPTS[i], i < 2 ? "," : "");
    }
    std::printf(" ]}\n");
    llama_model_free(model);
    return 0;
}
