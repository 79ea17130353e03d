#include "new-adapter.h"

#include "model/tensor-class.h"
#include "rpc/errors.h"
#include "train/base/base-shape.h"
#include "train/base/tensor-reader.h"
#include "train/graph/counter-random.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace moebius {

namespace {

constexpr double router_deviation = 0.02;  // of a mixture's new routers

// experts: whose matrices they are; empty: all. An expert begins with the same numbers, whoever else is chosen.
void fill_uniform(train_parameter & parameter, float bound, uint64_t seed, const std::vector<int32_t> & experts) {
    const uint64_t stream = random_stream(seed, parameter.name), matrix = uint64_t(parameter.n0 * parameter.n1);
    for (size_t i = 0; i < parameter.values.size(); i++) {
        const uint64_t at   = experts.empty() ? i : uint64_t(experts[i / matrix]) * matrix + i % matrix;
        parameter.values[i] = float((2 * random_unit(stream + at) - 1) * double(bound));
    }
}

// Box and Muller 1958, from the bits of two numbers.
void fill_normal(train_parameter & parameter, double deviation, uint64_t seed) {
    const uint64_t stream = random_stream(seed, parameter.name);
    for (size_t i = 0; i < parameter.values.size(); i++) {
        const double radius = 1 - random_unit(stream + 2 * i), angle = random_unit(stream + 2 * i + 1);  // radius: above 0
        parameter.values[i] = float(deviation * std::sqrt(-2 * std::log(radius)) * std::cos(2 * 3.141592653589793 * angle));
    }
}

class builder {
  public:
    builder(const gguf_model & file, uint64_t seed, bool has_numbers) : file(file), seed(seed), has_numbers(has_numbers) { made.architecture = file.architecture(); }

    // experts: of a mixture, on a matrix; 0: as many as the base's stack has. chosen: of a stack, those that are adapted; empty: all
    void adapt(const std::string & base, const lora_settings & how, int64_t experts = 0, const std::vector<int32_t> & chosen = {}) {
        const gguf_tensor * tensor = how.lora_rank > 0 ? file.find_tensor(base) : nullptr;
        if (!tensor) {
            return;
        }
        if (how.lora_alpha <= 0) {
            throw user_error("request.invalid", "An adapter's alpha has to be above 0; usual is once or twice its rank.", { { "loraAlpha", how.lora_alpha } });
        }
        const int64_t matrices = experts > 0 ? experts : chosen.empty() ? tensor->ne[2] : int64_t(chosen.size());
        const size_t  a        = add(base + ".lora_a", tensor->ne[0], how.lora_rank, matrices);
        const size_t  b        = add(base + ".lora_b", how.lora_rank, tensor->ne[1], matrices);
        fill_uniform(made.parameters[a], 1 / std::sqrt(float(tensor->ne[0])), seed, chosen);
        rank_room[&how] = std::max(rank_room[&how], std::min(tensor->ne[0], tensor->ne[1]));
        made.tensors.push_back({ base, a, b, how.lora_rank, how.lora_alpha, how.is_rank_stabilised, how.dropout, chosen });
    }

    // Trained itself, from the file's numbers.
    void whole(const std::string & base) {
        const gguf_tensor * tensor = file.find_tensor(base);
        if (!tensor) {
            return;
        }
        train_parameter & parameter = made.parameters[add(base, tensor->ne[0], tensor->ne[1], tensor->ne[2])];
        if (has_numbers) {
            parameter.values = tensor_reader(file).numbers(*tensor);
        }
    }

    void experts(int64_t layer, const adapter_settings & how) {
        const bool                 is_confined = !how.chosen.experts.empty();
        const std::vector<int32_t> chosen      = size_t(layer) < how.chosen.experts.size() ? how.chosen.experts[size_t(layer)] : std::vector<int32_t>();
        for (const char * part : { "ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps" }) {
            if (!is_confined || !chosen.empty()) {
                adapt("blk." + std::to_string(layer) + "." + part + ".weight", how.experts, 0, chosen);
            }
        }
    }

    void mixture(int64_t layer, const mixture_settings & how) {
        const std::string block = "blk." + std::to_string(layer) + ".";
        for (const char * part : { "ffn_gate", "ffn_up", "ffn_down" }) {
            adapt(block + part + ".weight", how.lora, how.experts);
        }
        fill_normal(made.parameters[add(router_name(layer), file.hparam("embedding_length", 0), how.experts, 1)], router_deviation, seed);
    }

    // A higher rank than each of its matrices has would train numbers that add nothing. name: of the setting
    void check_rank(const char * name, const lora_settings & how) const {
        const auto room = rank_room.find(&how);
        if (room != rank_room.end() && how.lora_rank > room->second) {
            throw user_error("request.invalid",
                             std::string(name) + ".loraRank is " + std::to_string(how.lora_rank) + ", and the matrices that it is for have at most " + std::to_string(room->second) + " rows or columns. Lower it to that or less.",
                             { { "parameter", std::string(name) + ".loraRank" }, { "have", room->second }, { "need", how.lora_rank } });
        }
    }

    adapter made;

  private:
    size_t add(const std::string & name, int64_t n0, int64_t n1, int64_t n2) {
        train_parameter parameter{ name, n0, n1, n2, std::vector<float>(has_numbers ? size_t(n0 * n1 * n2) : 0, 0.0f), {} };
        parameter.gradient = parameter.values;
        made.parameters.push_back(std::move(parameter));
        return made.parameters.size() - 1;
    }

    const gguf_model & file;
    uint64_t           seed;
    bool               has_numbers;
    std::map<const lora_settings *, int64_t> rank_room;  // the smaller side of the largest matrix that these were for
};

void check_choice(const gguf_model & file, const expert_choice & chosen) {
    const int64_t layers = trained_layers(file), experts = file.hparam("expert_count", 0);
    if (int64_t(chosen.experts.size()) > layers) {
        throw user_error("request.invalid", "Experts are chosen of layer " + std::to_string(chosen.experts.size() - 1) + ", and this model has " + std::to_string(layers) + " layers, from 0 on.",
                         { { "layer", chosen.experts.size() - 1 }, { "layers", layers } });
    }
    for (size_t layer = 0; layer < chosen.experts.size(); layer++) {
        const std::vector<int32_t> & of_layer     = chosen.experts[layer];
        const bool                   is_ascending = std::adjacent_find(of_layer.begin(), of_layer.end(), std::greater_equal<int32_t>()) == of_layer.end();
        if (!is_ascending || (!of_layer.empty() && (of_layer.front() < 0 || of_layer.back() >= experts))) {
            throw user_error("request.invalid", "The chosen experts of layer " + std::to_string(layer) + " are to be numbers from 0 to " + std::to_string(experts - 1) + ", each once.",
                             { { "layer", layer }, { "experts", experts } });
        }
        if (!of_layer.empty() && !file.find_tensor(router_name(int64_t(layer)))) {
            throw user_error("request.invalid", "Layer " + std::to_string(layer) + " of this model has no experts to choose from. Leave it out.", { { "layer", layer } });
        }
    }
}

// What is asked for by name and is not there would silently stay frozen.
void check_settings(const gguf_model & file, const adapter_settings & settings) {
    if (settings.whole_router && settings.router.lora_rank > 0) {
        throw user_error("request.invalid", "A router is trained as a whole or with an adapter, not both.", {});
    }
    const bool has_experts = file.hparam("expert_count", 0) > 0;
    if (!has_experts && (settings.experts.lora_rank > 0 || settings.shared.lora_rank > 0 || settings.router.lora_rank > 0 || settings.whole_router)) {
        throw user_error("request.invalid", "This model has no experts and no router to train; choose attention or ffn, the dense FFN.", { { "architecture", file.architecture() } });
    }
    check_choice(file, settings.chosen);
    const auto is_dense = [](const gguf_tensor & tensor) { return tensor_base(tensor.name) == "ffn_down"; };
    const mixture_settings & mixture = settings.mixture;
    if (mixture.experts > 0 && has_experts) {
        throw user_error("request.invalid", "A mixture of LoRA experts (MixLoRA) is for models without experts, and this one has its own; choose experts.", { { "architecture", file.architecture() } });
    }
    if (mixture.experts > 0 && settings.ffn.lora_rank > 0) {
        throw user_error("request.invalid", "The dense FFN is trained with one adapter (ffn) or with a mixture of them, not both.", {});
    }
    if (mixture.experts > 0 && (mixture.experts < 2 || mixture.experts_used < 1 || mixture.experts_used > mixture.experts)) {
        throw user_error("request.invalid", "A mixture has at least 2 experts, of which a token uses 1 to all: not " + std::to_string(mixture.experts_used) + " of " + std::to_string(mixture.experts) + ".",
                         { { "expertCount", mixture.experts }, { "expertUsedCount", mixture.experts_used } });
    }
    const auto is_shared = [](const gguf_tensor & tensor) { return tensor_base(tensor.name) == "ffn_down_shexp"; };
    if (settings.shared.lora_rank > 0 && std::none_of(file.tensors.begin(), file.tensors.end(), is_shared)) {
        throw user_error("request.invalid", "This model has no shared experts to train (adapter.shared). Leave shared out, or choose experts.", { { "parameter", "adapter.shared" }, { "architecture", file.architecture() } });
    }
    if (settings.whole_head && !file.find_tensor("output.weight")) {
        throw user_error("request.invalid", "This model's head is its embedding, one matrix for both. Choose wholeEmbedding, which trains it as both, in place of wholeHead.", {});
    }
    if (settings.ffn.lora_rank > 0 && std::none_of(file.tensors.begin(), file.tensors.end(), is_dense)) {
        throw user_error("request.invalid", "This model has no dense FFN to train; choose experts.", { { "architecture", file.architecture() } });
    }
}

// As many as a choice can have: of experts in the order of their affinities, each is above the average of those that follow, so that a share of them has at least that share of the affinity.
expert_choice largest_choice(const gguf_model & file, double top_p) {
    const int64_t        experts = file.hparam("expert_count", 0);
    std::vector<int32_t> first(size_t(std::min(double(experts), std::ceil(top_p * double(experts)))));
    std::iota(first.begin(), first.end(), 0);
    expert_choice most;
    for (int64_t layer = 0; layer < trained_layers(file); layer++) {
        most.experts.push_back(file.find_tensor(router_name(layer)) ? first : std::vector<int32_t>());
    }
    return most;
}

adapter built_adapter(const gguf_model & file, const adapter_settings & settings, bool has_numbers) {
    check_settings(file, settings);
    builder       all(file, settings.seed, has_numbers);
    const int64_t layers = trained_layers(file);
    if (settings.mixture.experts > 0) {
        all.made.mixture = { settings.mixture.experts, settings.mixture.experts_used };
    }
    for (int64_t layer = 0; layer < layers; layer++) {
        const std::string block = "blk." + std::to_string(layer) + ".";
        for (const char * part : { "attn_q", "attn_k", "attn_v", "attn_output", "attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_kv_b", "attn_k_b", "attn_v_b" }) {
            all.adapt(block + part + ".weight", settings.attention);
        }
        for (const char * part : { "ffn_gate", "ffn_up", "ffn_down" }) {
            all.adapt(block + part + ".weight", settings.ffn);
        }
        if (settings.mixture.experts > 0) {
            all.mixture(layer, settings.mixture);
        }
        all.experts(layer, settings);
        for (const char * part : { "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp" }) {
            all.adapt(block + part + ".weight", settings.shared);
        }
        all.adapt(block + "ffn_gate_inp.weight", settings.router);
        if (settings.whole_router) {
            all.whole(block + "ffn_gate_inp.weight");
        }
        for (const char * part : { "attn_norm", "attn_q_norm", "attn_k_norm", "attn_q_a_norm", "attn_kv_a_norm", "ffn_norm" }) {
            if (settings.whole_norms) {
                all.whole(block + part + ".weight");
            }
        }
    }
    if (settings.whole_norms) {
        all.whole("output_norm.weight");
    }
    if (settings.whole_embedding) {
        all.whole("token_embd.weight");
    }
    if (settings.whole_head) {
        all.whole("output.weight");
    }
    all.check_rank("adapter.attention", settings.attention);
    all.check_rank("adapter.ffn", settings.ffn);
    all.check_rank("adapter.mixture", settings.mixture.lora);
    all.check_rank("adapter.experts", settings.experts);
    all.check_rank("adapter.shared", settings.shared);
    all.check_rank("adapter.router", settings.router);
    if (all.made.parameters.empty()) {
        throw user_error("request.invalid", "Nothing would be trained: choose attention, the FFN, experts or the router, with a rank above 0.", {});
    }
    return std::move(all.made);
}

}  // namespace

adapter new_adapter(const gguf_model & file, const adapter_settings & settings) {
    GGML_ASSERT(!settings.affinity || !settings.chosen.experts.empty());
    return built_adapter(file, settings, true);
}

adapter outlined_adapter(const gguf_model & file, const adapter_settings & settings) {
    adapter_settings most = settings;
    if (settings.affinity && settings.chosen.experts.empty()) {
        most.chosen = largest_choice(file, settings.affinity->top_p);
    }
    return built_adapter(file, most, false);
}

double whole_distance(const gguf_model & base, const train_parameter & parameter, uint64_t seed) {
    double     sum = 0;
    const auto add = [&](const std::vector<float> & before, size_t first) {
        for (size_t i = 0; i < before.size(); i++) {
            const double change = double(parameter.values[first + i]) - double(before[i]);
            sum += change * change;
        }
    };
    const gguf_tensor * tensor = base.find_tensor(parameter.name);
    if (!tensor) {
        train_parameter begun = parameter;
        fill_normal(begun, router_deviation, seed);
        add(begun.values, 0);
        return std::sqrt(sum);
    }
    const int64_t        rows = tensor->elements() / tensor->ne[0], piece = std::max<int64_t>(1, (4 << 20) / int64_t(sizeof(float)) / tensor->ne[0]);
    const uint64_t       row_bytes = tensor->bytes / uint64_t(rows);
    std::vector<uint8_t> bytes;
    std::vector<float>   numbers;
    tensor_reader        reader(base);
    for (int64_t row = 0; row < rows; row += piece) {
        const int64_t count = std::min(piece, rows - row);
        bytes.resize(row_bytes * uint64_t(count));
        numbers.resize(size_t(count * tensor->ne[0]));
        reader.read(*tensor, row_bytes * uint64_t(row), bytes.size(), bytes.data());
        tensor_numbers(tensor->type, bytes.data(), numbers);
        add(numbers, size_t(row * tensor->ne[0]));
    }
    return std::sqrt(sum);
}

}  // namespace moebius
