#include "first-updates.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

namespace moebius {

namespace {

// A matrix of a parameter, as unmoved_parts counts them.
struct part_place {
    const adapted_tensor * tensor = nullptr;  // null: a whole one
    bool    is_a   = false;
    int64_t layer  = -1;
    int64_t expert = -1;  // of the base; -1: no routed expert's
};

int64_t layer_of(const std::string & name) {
    return name.rfind("blk.", 0) == 0 ? std::strtoll(name.c_str() + 4, nullptr, 10) : -1;
}

bool is_routed(const adapter & of, const std::string & base) {
    return base.find("_exps.") != std::string::npos || (of.mixture.experts > 0 && base.find(".ffn_") != std::string::npos);
}

class places {
  public:
    explicit places(const adapter & of) : of(of) {
        for (const adapted_tensor & tensor : of.tensors) {
            by_name[of.parameters[tensor.a].name] = &tensor;
            by_name[of.parameters[tensor.b].name] = &tensor;
        }
    }

    // matrix: -1 of a parameter that is no stack
    part_place at(const std::string & name, int64_t matrix) const {
        part_place place;
        place.layer      = layer_of(name);
        const auto found = by_name.find(name);
        if (found != by_name.end()) {
            place.tensor = found->second;
            place.is_a   = of.parameters[place.tensor->a].name == name;
            if (is_routed(of, place.tensor->base)) {
                const size_t index = size_t(std::max<int64_t>(matrix, 0));
                place.expert       = place.tensor->experts.empty() ? int64_t(index) : int64_t(place.tensor->experts[index]);
            }
        }
        return place;
    }

  private:
    const adapter &                               of;
    std::map<std::string, const adapted_tensor *> by_name;
};

const float * matrix_at(const train_parameter & parameter, const std::vector<float> & numbers, int64_t i) {
    return numbers.data() + i * parameter.n0 * parameter.n1;
}

bool any_not_zero(const float * first, int64_t count) {
    return std::any_of(first, first + count, [](float x) { return x != 0; });
}

// Experts with a gradient in any matrix of this kind (a or b): [layer, expert].
std::set<std::pair<int64_t, int64_t>> experts_with_gradients(const adapter & of, const places & all, bool is_a) {
    std::set<std::pair<int64_t, int64_t>> found;
    for (const adapted_tensor & tensor : of.tensors) {
        const train_parameter & parameter = of.parameters[is_a ? tensor.a : tensor.b];
        for (int64_t i = 0; i < parameter.n2 && is_routed(of, tensor.base); i++) {
            if (any_not_zero(matrix_at(parameter, parameter.gradient, i), parameter.n0 * parameter.n1)) {
                found.insert({ layer_of(tensor.base), all.at(parameter.name, i).expert });
            }
        }
    }
    return found;
}

// Whether value - rate * gradient differs from the value, with room for what an optimiser rounds.
bool is_visible(const seen_update & update, const train_parameter & parameter, const std::vector<float> & before, int64_t i) {
    if (update.plain_rate == 0) {
        return true;
    }
    const float * gradient = matrix_at(parameter, parameter.gradient, i);
    const float * value    = matrix_at(parameter, before, i);
    for (int64_t k = 0; k < parameter.n0 * parameter.n1; k++) {
        if (std::fabs(update.plain_rate * double(gradient[k])) > 2.4e-7 * std::fabs(double(value[k]))) {
            return true;
        }
    }
    return false;
}

bool should_have_gradient(const seen_update & update, const adapter & of, const places & all, const unmoved_part & part, const std::set<std::pair<int64_t, int64_t>> & siblings) {
    const part_place place  = all.at(part.name, part.expert);
    const int64_t    matrix = std::max<int64_t>(part.expert, 0);
    if (place.is_a) {
        const train_parameter & b = of.parameters[place.tensor->b];
        if (!any_not_zero(matrix_at(b, update.before[place.tensor->b], matrix), b.n0 * b.n1)) {
            return false;
        }
    }
    if (update.are_counts_drawn && part.name.find(".ffn_gate_inp.") != std::string::npos) {
        return false;
    }
    if (place.expert < 0) {
        return update.attending > 0;
    }
    const bool is_doubtful = update.has_pairs && place.layer + 1 == int64_t(update.learnt_tokens.size());
    return siblings.count({ place.layer, place.expert }) > 0 || (!is_doubtful && update.learnt_tokens[size_t(place.layer)][size_t(place.expert)] > 0);
}

}  // namespace

int64_t attending_tokens(const token_batch & batch) {
    return std::count_if(batch.rows.begin(), batch.rows.end(), [&batch](int32_t row) { return batch.positions[size_t(row)] > 0; });
}

std::vector<unmoved_part> unmoved_by(const seen_update & update, const adapter & of) {
    GGML_ASSERT(update.number < checked_updates);
    const places                                all(of);
    const bool                                  of_a     = update.number > 0;
    const std::set<std::pair<int64_t, int64_t>> siblings = experts_with_gradients(of, all, of_a);
    std::map<std::string, size_t>               index;
    for (size_t p = 0; p < of.parameters.size(); p++) {
        index[of.parameters[p].name] = p;
    }
    std::vector<unmoved_part> unmoved;
    for (unmoved_part & part : unmoved_parts(of.parameters, update.before)) {
        const part_place place = all.at(part.name, part.expert);
        const size_t     p     = index[part.name];
        const bool       is_told = part.has_gradient ? is_visible(update, of.parameters[p], update.before[p], std::max<int64_t>(part.expert, 0)) : should_have_gradient(update, of, all, part, siblings);
        if (place.is_a == of_a && is_told) {
            part.expert = place.expert >= 0 ? place.expert : part.expert;
            unmoved.push_back(std::move(part));
        }
    }
    return unmoved;
}

}  // namespace moebius
