#include "tensor-class.h"

#include <cstdlib>

namespace moebius {

int64_t tensor_layer(const std::string & name) {
    if (name.compare(0, 4, "blk.") != 0 || name.size() < 6 || name[4] < '0' || name[4] > '9') {
        return -1;
    }
    return std::strtoll(name.c_str() + 4, nullptr, 10);
}

std::string tensor_base(const std::string & name) {
    const size_t start = tensor_layer(name) < 0 ? 0 : name.find('.', 4) + 1;  // npos + 1 is 0: the whole name
    const size_t end   = name.rfind('.');
    return end == std::string::npos || end < start ? name.substr(start) : name.substr(start, end - start);
}

std::string tensor_suffix(const std::string & name) {
    const size_t dot = name.rfind('.');
    return dot == std::string::npos ? "" : name.substr(dot + 1);
}

static bool contains(const std::string & text, const char * part) {
    return text.find(part) != std::string::npos;
}

static bool starts_with(const std::string & text, const std::string & start) {
    return text.compare(0, start.size(), start) == 0;
}

// `ffn_gate.17`: one tensor an expert, as old files have it
static bool is_single_expert(const std::string & base) {
    const size_t dot = base.find('.');
    return starts_with(base, "ffn_") && dot != std::string::npos && dot + 1 < base.size() &&
           base.find_first_not_of("0123456789", dot + 1) == std::string::npos;
}

tensor_class classify_tensor(const std::string & name) {
    const std::string base = tensor_base(name);
    if (contains(base, "norm")) {
        return tensor_class::norm;
    }
    if (contains(base, "shexp")) {
        return tensor_class::shared_experts;
    }
    if (contains(base, "exps") || is_single_expert(base)) {
        return tensor_class::experts;
    }
    if (base == "ffn_gate_inp" || base == "ffn_gate_tid2eid" || starts_with(base, "exp_probs_b")) {
        return tensor_class::router;
    }
    if (starts_with(base, "ffn_gate") || starts_with(base, "ffn_up") || starts_with(base, "ffn_down")) {
        return tensor_class::dense_ffn;
    }
    if (starts_with(base, "attn_") || starts_with(base, "indexer")) {
        return tensor_class::attention;
    }
    if (base == "token_embd" || base == "position_embd" || base == "token_types" || base == "per_layer_token_embd") {
        return tensor_class::embedding;
    }
    return base == "output" || base == "cls" ? tensor_class::output : tensor_class::other;
}

const char * tensor_class_name(tensor_class which) {
    static const char * const names[TENSOR_CLASS_COUNT] = { "embedding", "output", "attention", "router", "experts", "sharedExperts",
                                                            "denseFfn", "norm", "other" };
    return names[int(which)];
}

}  // namespace moebius
