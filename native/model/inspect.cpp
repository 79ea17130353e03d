#include "inspect.h"
#include "utf8.h"

#include <llama.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

namespace moebius {

constexpr size_t DISPLAY_TEXT_BYTES = 2000;

// text of a metadata key or null
static json text_or_null(const gguf_model & model, const char * key) {
    const gguf_value * value = model.find(key);
    const auto *       text  = value != nullptr && !value->array ? value->text() : nullptr;
    return text != nullptr ? json(utf8_repair(*text)) : json(nullptr);
}

static json display_text(const std::string & bytes) {
    const std::string text = utf8_repair(bytes);
    if (text.size() <= DISPLAY_TEXT_BYTES) {
        return text;
    }
    return utf8_prefix(text, DISPLAY_TEXT_BYTES) + "... [" + std::to_string(text.size()) + " bytes]";
}

static json display_value(const gguf_value & value) {
    if (value.array) {
        return "[" + std::to_string(value.count) + " x " + gguf_type_name(value.type) + "]";
    }
    if (value.type == GGUF_TYPE_STRING) {
        return display_text(*value.text());
    }
    if (value.type == GGUF_TYPE_BOOL) {
        return *value.integer() != 0;
    }
    if (const auto integer = value.integer()) {
        return *integer;
    }
    const double number = *value.number();
    return std::isfinite(number) ? json(number) : json(std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
}

// `general.file_type` as llama.cpp names it, else the type that most bytes have
static std::string file_type_name(const gguf_model & model) {
    const gguf_value * value = model.find("general.file_type");
    if (value != nullptr && !value->array && value->type == GGUF_TYPE_UINT32) {
        return llama_ftype_name(llama_ftype(*value->integer()));
    }
    std::map<ggml_type, uint64_t> bytes;
    for (const gguf_tensor & tensor : model.tensors) {
        bytes[tensor.type] += tensor.bytes;
    }
    const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto & a, const auto & b) { return a.second < b.second; });
    std::string name = ggml_type_name(most->first);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::toupper(c)); });
    return name;
}

struct model_counts {
    int64_t           run_layers = 0;  // layers that generation runs
    std::set<int64_t> moe_layers;
    double            parameters = 0, active = 0;
    uint64_t          expert_bytes = 0;  // of one expert of one layer, the largest
    int64_t           expert_width = 0;  // feed-forward length of an expert
    bool              shared       = false;
};

// the share of a tensor's elements that one token reads
static double active_share(const gguf_model & model, const gguf_tensor & tensor, bool tied) {
    const auto which = classify_tensor(tensor.name);
    if (which == tensor_class::experts) {
        const double experts = double(model.hparam("expert_count", 1));
        const double used    = double(model.hparam_of_layer("expert_used_count", tensor_layer(tensor.name), 1));
        return used / experts;
    }
    if (which == tensor_class::embedding && !(tied && tensor.name == "token_embd.weight")) {
        return 1.0 / double(tensor.ne[1]);
    }
    return 1.0;
}

static model_counts count_model(const gguf_model & model) {
    model_counts                result;
    std::map<int64_t, uint64_t> expert_layer_bytes;
    const bool                  tied    = model.find_tensor("output.weight") == nullptr;
    const int64_t               experts = model.hparam("expert_count", 0);
    result.run_layers                   = model.hparam("block_count", 0) - model.hparam("nextn_predict_layers", 0);
    for (const gguf_tensor & tensor : model.tensors) {
        const double  elements = double(tensor.elements());
        const int64_t layer    = tensor_layer(tensor.name);
        result.parameters += elements;
        if (layer >= result.run_layers) {
            continue;
        }
        result.active += elements * active_share(model, tensor, tied);
        result.shared = result.shared || classify_tensor(tensor.name) == tensor_class::shared_experts;
        if (classify_tensor(tensor.name) == tensor_class::experts && experts > 0) {
            result.moe_layers.insert(layer);
            expert_layer_bytes[layer] += tensor.bytes;
            if (tensor_base(tensor.name).compare(0, 8, "ffn_down") == 0 && tensor_suffix(tensor.name) == "weight") {
                result.expert_width = std::max(result.expert_width, tensor.ne[0]);
            }
        }
    }
    for (const auto & [layer, bytes] : expert_layer_bytes) {
        result.expert_bytes = std::max(result.expert_bytes, bytes / uint64_t(experts));
    }
    return result;
}

static json quantisation_of(const gguf_model & model) {
    struct row {
        int64_t                                          tensors = 0;
        double                                           parameters = 0;
        uint64_t                                         bytes = 0;
        std::map<ggml_type, std::pair<int64_t, uint64_t>> types;  // tensors, bytes
    };
    std::array<row, TENSOR_CLASS_COUNT> rows;
    for (const gguf_tensor & tensor : model.tensors) {
        row & r = rows[size_t(classify_tensor(tensor.name))];
        ++r.tensors;
        r.parameters += double(tensor.elements());
        r.bytes += tensor.bytes;
        ++r.types[tensor.type].first;
        r.types[tensor.type].second += tensor.bytes;
    }
    json result = json::array();
    for (int i = 0; i < TENSOR_CLASS_COUNT; ++i) {
        if (rows[i].tensors == 0) {
            continue;
        }
        json types = json::array();
        for (const auto & [type, sums] : rows[i].types) {
            types.push_back({ { "type", ggml_type_name(type) }, { "tensorCount", sums.first }, { "bytes", sums.second } });
        }
        result.push_back({ { "tensorClass", tensor_class_name(tensor_class(i)) },
                           { "tensorCount", rows[i].tensors },
                           { "parameterCount", rows[i].parameters },
                           { "bytes", rows[i].bytes },
                           { "types", std::move(types) } });
    }
    return result;
}

static void add_files(const gguf_model & model, json & result) {
    uint64_t total = 0;
    json     files = json::array();
    for (size_t i = 0; i < model.files.size(); ++i) {
        files.push_back({ { "path", utf8_repair(model.files[i]) }, { "bytes", model.file_bytes[i] } });
        total += model.file_bytes[i];
    }
    result["path"]        = utf8_repair(model.files.front());
    result["files"]       = std::move(files);
    result["bytes"]       = total;
    result["ggufVersion"] = model.version;
}

static void add_hparams(const gguf_model & model, const model_counts & counts, json & result) {
    const gguf_value * tokens = model.find("tokenizer.ggml.tokens");
    const int64_t      heads  = model.hparam("attention.head_count", 0);
    const int64_t      expert_count = model.hparam("expert_count", 0);
    result["layerCount"]              = counts.run_layers;
    result["moeLayers"]               = counts.moe_layers;
    result["expertCount"]             = expert_count;
    result["expertUsedCount"]         = model.hparam("expert_used_count", 0);
    result["sharedExpertCount"]       = counts.shared ? std::max<int64_t>(1, model.hparam("expert_shared_count", 1)) : 0;
    result["embeddingLength"]         = model.hparam("embedding_length", 0);
    result["expertFeedForwardLength"] = counts.expert_width;
    result["headCount"]               = heads;
    result["headCountKv"]             = model.hparam("attention.head_count_kv", heads);
    result["vocabularySize"]          = tokens != nullptr ? tokens->count : 0;
    result["contextLength"]           = model.hparam("context_length", 0);
    result["parameterCount"]          = counts.parameters;
    result["activeParameterCount"]    = std::round(counts.active);
    result["bytesPerExpert"]          = counts.expert_bytes;
}

json inspect_model(const gguf_model & model) {
    const model_counts counts = count_model(model);
    json               result;
    add_files(model, result);
    result["architecture"] = utf8_repair(model.architecture());
    const json name        = text_or_null(model, "general.name");
    result["name"]         = name.is_string() && name != "" ? name : result["architecture"];
    result["license"]      = text_or_null(model, "general.license");
    result["description"]  = text_or_null(model, "general.description");
    add_hparams(model, counts, result);
    result["fileType"]     = file_type_name(model);
    result["quantisation"] = quantisation_of(model);
    result["chatTemplate"] = text_or_null(model, "tokenizer.chat_template");
    result["tokenizer"]    = text_or_null(model, "tokenizer.ggml.model");
    result["metadata"]     = json::object();
    for (const auto & [key, value] : model.metadata) {
        result["metadata"][utf8_repair(key)] = display_value(value);
    }
    return result;
}

}  // namespace moebius
