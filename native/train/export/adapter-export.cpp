#include "adapter-export.h"

#include "model/tensor-class.h"
#include "model/utf8.h"
#include "rpc/errors.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace moebius {

namespace {

constexpr size_t most_names = 5;  // in a message

std::string shape_text(int64_t n0, int64_t n1, int64_t n2) {
    return "[" + std::to_string(n0) + ", " + std::to_string(n1) + (n2 == 1 ? "" : ", " + std::to_string(n2)) + "]";
}

[[noreturn]] void fail_adapter(const char * code, const std::string & source, const std::string & message, json details = json::object()) {
    throw user_error(code, utf8_repair(source + ": " + message), std::move(details));
}

const gguf_tensor & base_tensor(const gguf_model & base, const std::string & name, const std::string & source) {
    const gguf_tensor * found = base.find_tensor(name);
    if (found == nullptr) {
        fail_adapter("request.invalid", source, "the model has no tensor '" + utf8_quote(name) + "'; choose the model that the adapter was trained on.",
             { { "tensor", utf8_quote(name) } });
    }
    if (found->ne[3] != 1) {
        fail_adapter("model.unsupported", source, "the model's tensor '" + utf8_quote(name) + "' has four dimensions; nothing can be trained on it.");
    }
    return *found;
}

// [n0, n1, n2] of what is trained of it: a stack where a mixture's experts share the matrix, of chosen experts only their matrices.
std::array<int64_t, 3> adapted_shape(const adapter & trained, const adapted_tensor & tensor, const gguf_tensor & base) {
    const int64_t matrices = is_of_mixture(trained, base) ? trained.mixture.experts : base.ne[2];
    return { base.ne[0], base.ne[1], tensor.experts.empty() ? matrices : int64_t(tensor.experts.size()) };
}

void check_pair(const adapter & trained, const adapted_tensor & tensor, const gguf_tensor & base, const std::string & source) {
    const train_parameter & a = trained.parameters[tensor.a], & b = trained.parameters[tensor.b];
    const std::string       shapes = "'" + utf8_quote(tensor.base) + "' has lora_a " + shape_text(a.n0, a.n1, a.n2) + " and lora_b " + shape_text(b.n0, b.n1, b.n2);
    if (a.n1 != b.n0 || a.n2 != b.n2) {
        fail_adapter("file.corrupt", source, shapes + ", which do not fit each other: lora_a has to be [n_in, r, experts], lora_b [r, n_out, experts].");
    }
    const auto [n0, n1, n2] = adapted_shape(trained, tensor, base);
    const bool has_its_experts = tensor.experts.empty() || (tensor.experts.front() >= 0 && tensor.experts.back() < base.ne[2]);
    if (a.n0 != n0 || b.n1 != n1 || a.n2 != n2 || !has_its_experts) {
        fail_adapter("request.invalid", source, shapes + ", but the model's tensor is " + shape_text(base.ne[0], base.ne[1], base.ne[2]) +
             "; choose the model that the adapter was trained on.", { { "tensor", utf8_quote(tensor.base) } });
    }
}

// Of a layer of the base, which has none itself.
void check_mixture_router(const adapter & trained, const train_parameter & router, const gguf_model & base, const std::string & source) {
    const int64_t n_embd = base.hparam("embedding_length", 0);
    if (base.find_tensor(router.name) != nullptr || tensor_layer(router.name) >= base.hparam("block_count", 0) || router.n0 != n_embd || router.n1 != trained.mixture.experts || router.n2 != 1) {
        fail_adapter("request.invalid", source, "its mixture's router '" + utf8_quote(router.name) + "' " + shape_text(router.n0, router.n1, router.n2) + " fits no model of " +
             std::to_string(base.hparam("block_count", 0)) + " layers without experts and " + std::to_string(n_embd) + " numbers a token; choose the model that the adapter was trained on.");
    }
}

}  // namespace

float lora_plain_alpha(const adapted_tensor & tensor) {
    return tensor.is_rank_stabilised ? tensor.lora_alpha * std::sqrt(float(tensor.lora_rank)) : tensor.lora_alpha;
}

std::vector<size_t> whole_parameters(const adapter & trained) {
    std::vector<bool> paired(trained.parameters.size(), false);
    for (const adapted_tensor & tensor : trained.tensors) {
        paired[tensor.a] = paired[tensor.b] = true;
    }
    std::vector<size_t> whole;
    for (size_t i = 0; i < paired.size(); i++) {
        if (!paired[i]) {
            whole.push_back(i);
        }
    }
    return whole;
}

bool is_of_mixture(const adapter & trained, const gguf_tensor & base) {
    return trained.mixture.experts > 0 && classify_tensor(base.name) == tensor_class::dense_ffn;
}

void refuse_what_only_merges(const adapter & trained, const std::string & format) {
    if (trained.mixture.experts > 0) {
        throw user_error("model.unsupported", "A mixture of " + std::to_string(trained.mixture.experts) + " LoRA experts (MixLoRA) gives a model without experts routers and experts, which " + format +
                             " has no place for. Export a merged GGUF instead (--format merged).", { { "experts", trained.mixture.experts } });
    }
    const std::vector<size_t> whole = whole_parameters(trained);
    if (whole.empty()) {
        return;
    }
    std::string names;
    for (size_t i = 0; i < std::min(whole.size(), most_names); i++) {
        names += (i == 0 ? "" : ", ") + trained.parameters[whole[i]].name;
    }
    names += whole.size() > most_names ? " and " + std::to_string(whole.size() - most_names) + " more" : "";
    throw user_error("model.unsupported", "Whole tensors were trained (" + names + "), and " + format + " holds only low-rank pairs. Export a merged GGUF, which holds all, or leave whole tensors out (--pairs-only), which gives another function.",
                     { { "tensors", whole.size() } });
}

bool has_all_experts(const adapter & trained) {
    return std::all_of(trained.tensors.begin(), trained.tensors.end(), [](const adapted_tensor & tensor) { return tensor.experts.empty(); });
}

void check_adapter_numbers(const adapter & trained, const std::string & source) {
    for (const train_parameter & parameter : trained.parameters) {
        check_finite(parameter.name, parameter.values.data(), parameter.values.size(), source);
    }
}

void check_finite(const std::string & parameter, const float * values, size_t count, const std::string & source) {
    const float * bad = std::find_if(values, values + count, [](float value) { return !std::isfinite(value); });
    if (bad != values + count) {
        fail_adapter("file.corrupt", source, "number " + std::to_string(bad - values) + " of '" + utf8_quote(parameter) + "' is " + std::to_string(*bad) +
             "; go back to an earlier checkpoint or get the file again.", { { "tensor", utf8_quote(parameter) } });
    }
}

void check_adapter_fits(const adapter & trained, const gguf_model & base, const std::string & source) {
    if (trained.architecture != base.architecture()) {
        fail_adapter("request.invalid", source, "the adapter is for models of the architecture '" + utf8_quote(trained.architecture) + "', the model's is '" +
             utf8_quote(base.architecture()) + "'; choose the model that the adapter was trained on.");
    }
    for (const adapted_tensor & tensor : trained.tensors) {
        check_pair(trained, tensor, base_tensor(base, tensor.base, source), source);
    }
    for (const size_t index : whole_parameters(trained)) {
        const train_parameter & whole = trained.parameters[index];
        if (trained.mixture.experts > 0 && classify_tensor(whole.name) == tensor_class::router) {
            check_mixture_router(trained, whole, base, source);
            continue;
        }
        const gguf_tensor &     of    = base_tensor(base, whole.name, source);
        if (whole.n0 != of.ne[0] || whole.n1 != of.ne[1] || whole.n2 != of.ne[2]) {
            fail_adapter("request.invalid", source, "'" + utf8_quote(whole.name) + "' is " + shape_text(whole.n0, whole.n1, whole.n2) + ", the model's " +
                 shape_text(of.ne[0], of.ne[1], of.ne[2]) + "; choose the model that the adapter was trained on.");
        }
    }
}

}  // namespace moebius
