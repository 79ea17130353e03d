// Reads LoRA adapter files. Nothing in them is believed; see model/gguf-part.h for header and table.
#include "adapter-file.h"

#include "adapter-export.h"
#include "model/gguf-part.h"
#include "model/tensor-class.h"
#include "model/utf8.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <unordered_map>

namespace moebius {

namespace {

struct tensor_pair {
    std::string         base;
    const gguf_tensor * a = nullptr;
    const gguf_tensor * b = nullptr;
};

std::string text_of(const gguf_part & file, const char * key) {
    const gguf_value * value = file.find(key);
    const auto *       text  = value != nullptr && !value->array ? value->text() : nullptr;
    return text == nullptr ? "" : *text;
}

void check_kind(const gguf_part & file) {
    if (text_of(file, "general.type") != "adapter") {
        gguf_fail("model.unsupported", file.path, "this is no adapter: general.type is '" + utf8_quote(text_of(file, "general.type")) + "' instead of 'adapter'");
    }
    if (text_of(file, "adapter.type") != "lora") {
        gguf_fail("model.unsupported", file.path, "an adapter of the type '" + utf8_quote(text_of(file, "adapter.type")) + "'; only 'lora' can be used");
    }
    if (file.find("adapter.alora.invocation_tokens") != nullptr) {
        gguf_fail("model.unsupported", file.path, "an activated LoRA, which acts only behind certain tokens; such a thing cannot be trained or merged");
    }
}

// 0: pairs are not scaled
float alpha_of(const gguf_part & file) {
    const gguf_value * value = file.find("adapter.lora.alpha");
    if (value == nullptr) {
        return 0;
    }
    if (value->array || value->type != GGUF_TYPE_FLOAT32 || !std::isfinite(*value->number())) {
        gguf_fail("file.corrupt", file.path, "adapter.lora.alpha is not a 32-bit floating-point number");
    }
    return float(*value->number());
}

bool cut_suffix(std::string & name, const std::string & suffix) {
    if (name.size() <= suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) {
        return false;
    }
    name.resize(name.size() - suffix.size());
    return true;
}

void check_matrix(const gguf_part & file, const gguf_tensor & tensor) {
    const std::string name = "'" + utf8_quote(tensor.name) + "'";
    if (tensor.type != GGML_TYPE_F32 && tensor.type != GGML_TYPE_F16) {
        gguf_fail("file.corrupt", file.path, name + " has type " + ggml_type_name(tensor.type) + "; adapters are f32 or f16");
    }
    if (tensor.ne[3] != 1) {
        gguf_fail("file.corrupt", file.path, name + " has four dimensions; pairs have two, or three for stacks of experts");
    }
}

// In the order of the file.
std::vector<tensor_pair> pairs_of(const gguf_part & file) {
    std::vector<tensor_pair>                pairs;
    std::unordered_map<std::string, size_t> index;
    for (const gguf_tensor & tensor : file.tensors) {
        std::string base = tensor.name;
        const bool  is_a = cut_suffix(base, ".lora_a");
        if (!is_a && !cut_suffix(base, ".lora_b")) {
            gguf_fail("model.unsupported", file.path, "tensor '" + utf8_quote(tensor.name) + "' is no half of a pair; its name has to end with .lora_a or .lora_b");
        }
        check_matrix(file, tensor);
        const auto [at, is_new] = index.emplace(base, pairs.size());
        if (is_new) {
            pairs.push_back({ base });
        }
        (is_a ? pairs[at->second].a : pairs[at->second].b) = &tensor;
    }
    for (const tensor_pair & pair : pairs) {
        if (pair.a == nullptr || pair.b == nullptr) {
            gguf_fail("file.corrupt", file.path, "'" + utf8_quote(pair.base) + "' has no " + (pair.a == nullptr ? ".lora_a" : ".lora_b"));
        }
        const tensor_class kind = classify_tensor(pair.base);
        if (kind == tensor_class::norm || kind == tensor_class::embedding) {
            gguf_fail("model.unsupported", file.path, "a pair for '" + utf8_quote(pair.base) + "'; those of norms and embeddings cannot be read");
        }
    }
    if (pairs.empty()) {
        gguf_fail("file.corrupt", file.path, "an adapter without tensors");
    }
    return pairs;
}

train_parameter shape_of(const gguf_tensor & tensor) {
    return { tensor.name, tensor.ne[0], tensor.ne[1], tensor.ne[2], {}, {} };
}

// Shapes first: what does not fit the base is refused before its numbers are read.
adapter_file describe_adapter(const gguf_part & file, const std::vector<tensor_pair> & pairs) {
    adapter_file opened{ file.path, alpha_of(file), {}, {} };
    adapter &    read = opened.described;
    read.architecture = text_of(file, "general.architecture");
    for (const tensor_pair & pair : pairs) {
        const int64_t rank = pair.a->ne[1];
        read.tensors.push_back({ pair.base, read.parameters.size(), read.parameters.size() + 1, rank, opened.alpha == 0 ? float(rank) : opened.alpha, false, 0 });
        for (const gguf_tensor * matrix : { pair.a, pair.b }) {
            read.parameters.push_back(shape_of(*matrix));
            opened.matrices.push_back(*matrix);
        }
    }
    return opened;
}

std::vector<float> to_floats(const std::vector<uint8_t> & bytes, const gguf_tensor & tensor) {
    std::vector<float> numbers(size_t(tensor.elements()));
    if (tensor.type == GGML_TYPE_F16) {
        ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t *>(bytes.data()), numbers.data(), tensor.elements());
    } else {
        std::memcpy(numbers.data(), bytes.data(), bytes.size());
    }
    return numbers;
}

std::string source_name(const std::string & path) {
    return std::filesystem::u8path(path).filename().u8string();
}

}  // namespace

adapter_file adapter_open(const std::string & path, const gguf_model & base) {
    const gguf_part file = gguf_read_part(path);
    check_kind(file);
    adapter_file opened = describe_adapter(file, pairs_of(file));
    check_adapter_fits(opened.described, base, source_name(path));
    return opened;
}

std::vector<uint8_t> adapter_bytes(const adapter_file & file, size_t parameter) {
    const gguf_tensor &  tensor = file.matrices[parameter];
    std::ifstream        stream(std::filesystem::u8path(file.path), std::ios::binary);
    std::vector<uint8_t> bytes(size_t(tensor.bytes));
    stream.seekg(std::streamoff(tensor.offset));
    stream.read(reinterpret_cast<char *>(bytes.data()), std::streamsize(bytes.size()));
    if (!stream) {
        gguf_fail("file.unreadable", file.path, "reading '" + utf8_quote(tensor.name) + "' failed");
    }
    const std::vector<float> numbers = to_floats(bytes, tensor);
    check_finite(tensor.name, numbers.data(), numbers.size(), source_name(file.path));
    return bytes;
}

adapter adapter_read(const std::string & path, const gguf_model & base) {
    adapter_file opened = adapter_open(path, base);
    for (size_t i = 0; i < opened.matrices.size(); i++) {
        train_parameter & parameter = opened.described.parameters[i];
        parameter.values            = to_floats(adapter_bytes(opened, i), opened.matrices[i]);
        parameter.gradient.assign(parameter.values.size(), 0);
    }
    return std::move(opened.described);
}

}  // namespace moebius
