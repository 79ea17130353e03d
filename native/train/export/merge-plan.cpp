#include "merge-plan.h"

#include "adapter-export.h"
#include "merge-mixture.h"
#include "model/gguf-part.h"
#include "model/tensor-class.h"
#include "model/utf8.h"
#include "rpc/errors.h"

#include <llama.h>

#include <unordered_map>

namespace moebius {

namespace {

// An index table, which holds no weights
bool holds_floats(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || ggml_is_quantized(type);
}

bool takes_type(const gguf_tensor & tensor, ggml_type type) {
    if (tensor_suffix(tensor.name) != "weight" || !holds_floats(tensor.type) || tensor.ne[0] % ggml_blck_size(type) != 0) {
        return false;
    }
    switch (classify_tensor(tensor.name)) {
        case tensor_class::embedding:
        case tensor_class::output:
        case tensor_class::attention:
        case tensor_class::experts:
        case tensor_class::shared_experts:
        case tensor_class::dense_ffn:
            return tensor.ne[1] > 1;  // not the vectors
        case tensor_class::router:
            return type == GGML_TYPE_F32;
        default:
            return false;
    }
}

// What cannot be computed with is not to be written.
void check_changed(const gguf_model & base, const merged_tensor & tensor) {
    const std::string name = utf8_quote(tensor.from->name);
    if (!holds_floats(tensor.from->type)) {
        gguf_fail("model.unsupported", base.files[tensor.from->file], "tensor '" + name + "' of type " + ggml_type_name(tensor.from->type) + " holds no weights that could be trained");
    }
    if (ggml_quantize_requires_imatrix(tensor.type)) {
        gguf_fail("model.unsupported", base.files[tensor.from->file], "tensor '" + name + "' is " + ggml_type_name(tensor.type) +
                  ", which can only be made with an importance matrix; merge to another type, such as q8_0");
    }
    const std::string scale = tensor.from->name.substr(0, tensor.from->name.rfind('.')) + ".scale";
    if (base.find_tensor(scale) != nullptr) {
        gguf_fail("model.unsupported", base.files[tensor.from->file], "tensor '" + name + "' is scaled by '" + utf8_quote(scale) + "', which merging does not do; use the adapter file");
    }
}

void set_file_type(gguf_context * header, const std::vector<merged_tensor> & plan, const merge_type & type) {
    if (type.type) {
        gguf_set_val_u32(header, "general.file_type", uint32_t(type.file_type));
    }
    for (const merged_tensor & tensor : plan) {
        if (ggml_is_quantized(tensor.type) && gguf_find_key(header, "general.quantization_version") < 0) {
            gguf_set_val_u32(header, "general.quantization_version", GGML_QNT_VERSION);
        }
    }
}

}  // namespace

const std::vector<merge_type> & merge_types() {
    static const std::vector<merge_type> types = {
        { "same", std::nullopt, 0 },
        { "f32", GGML_TYPE_F32, LLAMA_FTYPE_ALL_F32 },
        { "f16", GGML_TYPE_F16, LLAMA_FTYPE_MOSTLY_F16 },
        { "bf16", GGML_TYPE_BF16, LLAMA_FTYPE_MOSTLY_BF16 },
        { "q8_0", GGML_TYPE_Q8_0, LLAMA_FTYPE_MOSTLY_Q8_0 },
        { "q6_k", GGML_TYPE_Q6_K, LLAMA_FTYPE_MOSTLY_Q6_K },
        { "q5_k", GGML_TYPE_Q5_K, LLAMA_FTYPE_MOSTLY_Q5_K_S },
        { "q5_1", GGML_TYPE_Q5_1, LLAMA_FTYPE_MOSTLY_Q5_1 },
        { "q5_0", GGML_TYPE_Q5_0, LLAMA_FTYPE_MOSTLY_Q5_0 },
        { "q4_k", GGML_TYPE_Q4_K, LLAMA_FTYPE_MOSTLY_Q4_K_S },
        { "q4_1", GGML_TYPE_Q4_1, LLAMA_FTYPE_MOSTLY_Q4_1 },
        { "q4_0", GGML_TYPE_Q4_0, LLAMA_FTYPE_MOSTLY_Q4_0 },
        { "iq4_nl", GGML_TYPE_IQ4_NL, LLAMA_FTYPE_MOSTLY_IQ4_NL },
        { "iq4_xs", GGML_TYPE_IQ4_XS, LLAMA_FTYPE_MOSTLY_IQ4_XS },
        { "q3_k", GGML_TYPE_Q3_K, LLAMA_FTYPE_MOSTLY_Q3_K_S },
        { "q2_k", GGML_TYPE_Q2_K, LLAMA_FTYPE_MOSTLY_Q2_K },
    };
    return types;
}

const merge_type & merge_type_named(const std::string & name) {
    std::string names;
    for (const merge_type & type : merge_types()) {
        if (type.name == name) {
            return type;
        }
        names += (names.empty() ? "" : ", ") + type.name;
    }
    throw user_error("request.invalid", "A model cannot be merged to '" + utf8_quote(name) + "'. Possible are " + names + ".", { { "parameter", "type" } });
}

std::vector<merged_tensor> merge_plan(const gguf_model & base, const adapter & trained, const merge_type & type) {
    std::unordered_map<std::string, const adapted_tensor *>  pairs;
    std::unordered_map<std::string, const train_parameter *> wholes;
    for (const adapted_tensor & tensor : trained.tensors) {
        pairs.emplace(tensor.base, &tensor);
    }
    for (const size_t index : whole_parameters(trained)) {
        wholes.emplace(trained.parameters[index].name, &trained.parameters[index]);
    }
    std::vector<merged_tensor> plan;
    for (const gguf_tensor & from : base.tensors) {
        const auto    pair  = pairs.find(from.name);
        const auto    whole = wholes.find(from.name);
        merged_tensor tensor{ from.name, from.ne, &from, from.type, pair == pairs.end() ? nullptr : pair->second, whole == wholes.end() ? nullptr : whole->second };
        if (type.type && takes_type(from, *type.type)) {
            tensor.type = *type.type;
        }
        if (tensor.pair != nullptr && is_of_mixture(trained, from)) {
            if (tensor_base(from.name) == "ffn_gate") {
                plan.push_back(mixture_router(*wholes.at(router_name(tensor_layer(from.name)))));
            }
            tensor = mixture_stack(from, tensor.type, *tensor.pair, trained.mixture);
        }
        if (!tensor.is_copied()) {
            check_changed(base, tensor);
        }
        plan.push_back(tensor);
    }
    return plan;
}

gguf_context_ptr merge_header(const gguf_model & base, const std::vector<merged_tensor> & plan, const merge_type & type, const lora_mixture & mixture) {
    // the first part has all metadata; gguf_open has found it safe to read
    const gguf_context_ptr source(gguf_init_from_file(base.files.front().c_str(), { true, nullptr }));
    if (source == nullptr) {
        gguf_fail("file.unreadable", base.files.front(), "cannot be read again; it has changed meanwhile");
    }
    gguf_context_ptr header(gguf_init_empty());
    gguf_set_kv(header.get(), source.get());
    // ggml writes files with its own alignment, whatever their key says
    for (const char * key : { "split.no", "split.count", "split.tensors.count", "general.alignment" }) {
        gguf_remove_key(header.get(), key);
    }
    set_file_type(header.get(), plan, type);
    if (mixture.experts > 0) {
        set_mixture_metadata(header.get(), base, mixture);
    }
    const ggml_context_ptr shapes(ggml_init({ ggml_tensor_overhead() * (plan.size() + 1), nullptr, true }));
    for (const merged_tensor & tensor : plan) {
        ggml_tensor * shape = ggml_new_tensor(shapes.get(), tensor.type, GGML_MAX_DIMS, tensor.ne.data());
        ggml_set_name(shape, tensor.name.c_str());
        gguf_add_tensor(header.get(), shape);
    }
    return header;
}

}  // namespace moebius
