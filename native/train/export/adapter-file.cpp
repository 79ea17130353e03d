#include "adapter-file.h"

#include "adapter-export.h"
#include "gguf-output.h"
#include "model/tensor-class.h"
#include "model/utf8.h"
#include "rpc/errors.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <set>

namespace moebius {

namespace {

// llama.cpp multiplies by these without looking for adapters (ggml_mul_mat in models/deepseek2.cpp).
bool is_plain_product(const std::string & architecture, const std::string & base) {
    static const std::set<std::string> names = { "attn_q", "attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_kv_b", "attn_k_b", "attn_v_b", "output" };
    return architecture == "deepseek2" && names.count(base) > 0;
}

// That of the most tensors; 0 would mean to llama.cpp that pairs are not scaled.
float file_alpha(const adapter & trained) {
    std::map<float, size_t> count;
    float                   best = 1;
    for (const adapted_tensor & tensor : trained.tensors) {
        const float alpha = lora_plain_alpha(tensor);
        if (alpha != 0 && ++count[alpha] > count[best]) {
            best = alpha;
        }
    }
    return best;
}

struct written_matrix {
    std::string             name;
    const train_parameter * from;
    float                   factor;
};

std::vector<written_matrix> written_matrices(const adapter & trained, float alpha) {
    std::vector<written_matrix> matrices;
    for (const adapted_tensor & tensor : trained.tensors) {
        matrices.push_back({ tensor.base + ".lora_a", &trained.parameters[tensor.a], 1 });
        matrices.push_back({ tensor.base + ".lora_b", &trained.parameters[tensor.b], lora_plain_alpha(tensor) / alpha });
    }
    return matrices;
}

gguf_context_ptr describe_file(const adapter & trained, const std::vector<written_matrix> & matrices, float alpha, ggml_type type) {
    gguf_context_ptr       gguf(gguf_init_empty());
    const ggml_context_ptr shapes(ggml_init({ ggml_tensor_overhead() * (matrices.size() + 1), nullptr, true }));
    gguf_set_val_str(gguf.get(), "general.type", "adapter");
    gguf_set_val_str(gguf.get(), "general.architecture", trained.architecture.c_str());
    gguf_set_val_str(gguf.get(), "adapter.type", "lora");
    gguf_set_val_f32(gguf.get(), "adapter.lora.alpha", alpha);
    for (const written_matrix & matrix : matrices) {
        ggml_tensor * tensor = ggml_new_tensor_3d(shapes.get(), type, matrix.from->n0, matrix.from->n1, matrix.from->n2);
        ggml_set_name(tensor, matrix.name.c_str());
        gguf_add_tensor(gguf.get(), tensor);
    }
    return gguf;
}

void write_matrix(gguf_output & out, const written_matrix & matrix, ggml_type type) {
    std::vector<float> values = matrix.from->values;
    for (float & value : values) {
        value *= matrix.factor;
    }
    if (type == GGML_TYPE_F32) {
        out.write(values.data(), values.size() * sizeof(float));
    } else {
        std::vector<ggml_fp16_t> halves(values.size());
        ggml_fp32_to_fp16_row(values.data(), halves.data(), int64_t(values.size()));
        const auto bad = std::find_if(halves.begin(), halves.end(), [](ggml_fp16_t half) { return !std::isfinite(ggml_fp16_to_fp32(half)); });
        if (bad != halves.end()) {
            throw user_error("file.corrupt", matrix.name + " holds " + std::to_string(values[size_t(bad - halves.begin())]) + ", which F16 cannot hold. Export the adapter as F32.");
        }
        out.write(halves.data(), halves.size() * sizeof(ggml_fp16_t));
    }
    out.end_tensor();
}

}  // namespace

void refuse_unused_pairs(const adapter & trained, const std::string & instead) {
    for (const adapted_tensor & tensor : trained.tensors) {
        const std::string  base = tensor_base(tensor.base);
        const tensor_class kind = classify_tensor(tensor.base);
        const char *       why  = nullptr;
        if (kind == tensor_class::norm) {
            why = "does not use adapters of norms";
        } else if (kind == tensor_class::embedding) {
            why = "keeps adapters of embeddings in another layout and stops at them where the head shares the tensor";
        } else if (is_plain_product(trained.architecture, base)) {
            why = "does not use adapters of this tensor";
        }
        if (why != nullptr) {
            throw user_error("model.unsupported", "The adapter has a pair for " + tensor.base + ", and llama.cpp " + why + ". " + instead,
                             { { "tensor", tensor.base } });
        }
    }
}

void adapter_write(const adapter & trained, const std::string & path, ggml_type type) {
    assert((type == GGML_TYPE_F32 || type == GGML_TYPE_F16) && has_all_experts(trained));
    refuse_what_only_merges(trained, "an adapter file");
    if (trained.tensors.empty()) {
        throw user_error("request.invalid", "No low-rank pair was trained; there is nothing for an adapter file. Export a merged GGUF instead.");
    }
    refuse_unused_pairs(trained, "Export a merged GGUF instead.");
    check_adapter_numbers(trained, "The adapter");
    const float                       alpha    = file_alpha(trained);
    const std::vector<written_matrix> matrices = written_matrices(trained, alpha);
    gguf_output                       out(describe_file(trained, matrices, alpha, type).get(), path);
    for (const written_matrix & matrix : matrices) {
        write_matrix(out, matrix, type);
    }
    out.publish();
}

}  // namespace moebius
