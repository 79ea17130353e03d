#include "peft-pairs.h"

#include "adapter-export.h"

#include <algorithm>

namespace moebius {

namespace {

// A pair of the adapter, and where its rows lie in PEFT's.
struct peft_source {
    const adapted_tensor * tensor;
    peft_part              part;
};

struct peft_group {
    peft_target              target;
    std::vector<peft_source> sources;  // one, or gate and up
};

// Row of the GGUF tensor that Transformers has as `row`.
int64_t gguf_row(int64_t row, int64_t heads, int64_t rows) {
    if (heads == 0) {
        return row;
    }
    const int64_t size = rows / heads, of_head = row % size;
    return row - of_head + 2 * (of_head % (size / 2)) + of_head / (size / 2);
}

std::vector<peft_group> grouped_pairs(const adapter & trained, const gguf_model & base) {
    std::vector<peft_group> groups;
    for (const adapted_tensor & tensor : trained.tensors) {
        const peft_target target = peft_target_of(base, tensor.base);
        const auto        same   = std::find_if(groups.begin(), groups.end(), [&](const peft_group & other) { return other.target.name() == target.name(); });
        if (same == groups.end()) {
            groups.push_back({ target, { { &tensor, target.part } } });
        } else {
            same->sources.push_back({ &tensor, target.part });
        }
    }
    for (peft_group & one : groups) {  // gate before up
        std::sort(one.sources.begin(), one.sources.end(), [](const peft_source & x, const peft_source & y) { return x.part < y.part; });
    }
    return groups;
}

peft_pair empty_pair(const peft_group & from, const adapter & trained) {
    const adapted_tensor &  first = *from.sources.front().tensor;
    const train_parameter & a = trained.parameters[first.a], & b = trained.parameters[first.b];
    peft_pair               pair;
    pair.target  = from.target;
    pair.n_in    = a.n0;
    pair.n_out   = from.sources.front().part == peft_part::whole ? b.n1 : 2 * b.n1;
    pair.experts = a.n2;
    for (const peft_source & source : from.sources) {
        pair.lora_rank += source.tensor->lora_rank;
    }
    pair.lora_alpha = double(lora_plain_alpha(first)) / double(first.lora_rank) * double(pair.lora_rank);
    if (pair.lora_alpha == 0) {
        pair.lora_alpha = double(pair.lora_rank);  // scaled by nothing; b is zero then
    }
    pair.a.assign(size_t(pair.experts * pair.lora_rank * pair.n_in), 0);
    pair.b.assign(size_t(pair.n_out * pair.lora_rank * pair.experts), 0);
    return pair;
}

// Its ranks become [first_rank, first_rank + r) of the pair's.
void put_pair(const peft_source & source, const adapter & trained, int64_t first_rank, peft_pair & pair) {
    const train_parameter & a = trained.parameters[source.tensor->a], & b = trained.parameters[source.tensor->b];
    const int64_t           rank = a.n1, first_row = source.part == peft_part::up ? b.n1 : 0;
    const double            scale = pair.lora_alpha / double(pair.lora_rank);
    const float             share = float(double(lora_plain_alpha(*source.tensor)) / double(rank) / scale);  // 1 but for those with another scale than the first
    for (int64_t expert = 0; expert < pair.experts; expert++) {
        std::copy_n(a.values.data() + expert * rank * pair.n_in, rank * pair.n_in, pair.a.data() + (expert * pair.lora_rank + first_rank) * pair.n_in);
        for (int64_t row = 0; row < b.n1; row++) {
            const float * from = b.values.data() + (expert * b.n1 + gguf_row(row, pair.target.permuted_heads, b.n1)) * rank;
            float *       into = pair.b.data() + (first_row + row) * pair.lora_rank * pair.experts + expert;
            for (int64_t k = 0; k < rank; k++) {
                into[(first_rank + k) * pair.experts] = share * from[k];
            }
        }
    }
}

// PEFT wraps a module's parameters in the order in which it has them: gate_up_proj, then down_proj around it.
void name_pairs(std::vector<peft_pair> & pairs) {
    for (peft_pair & pair : pairs) {
        const bool is_inner = pair.target.parameter == "gate_up_proj" && std::any_of(pairs.begin(), pairs.end(), [&](const peft_pair & other) {
                                  return other.target.module == pair.target.module && other.target.parameter == "down_proj";
                              });
        pair.prefix = pair.target.module + (is_inner ? ".base_layer" : "");
    }
}

}  // namespace

std::vector<peft_pair> peft_pairs(const adapter & trained, const gguf_model & base) {
    std::vector<peft_pair> pairs;
    for (const peft_group & from : grouped_pairs(trained, base)) {
        pairs.push_back(empty_pair(from, trained));
        int64_t rank = 0;
        for (const peft_source & source : from.sources) {
            put_pair(source, trained, rank, pairs.back());
            rank += source.tensor->lora_rank;
        }
    }
    name_pairs(pairs);
    return pairs;
}

}  // namespace moebius
