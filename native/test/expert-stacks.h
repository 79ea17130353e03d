// Stacks of experts' matrices and adapters as operands of check_op, and their gradients as stacks.
#pragma once

#include "train-check.h"
#include "train/graph/nodes.h"
#include "train/graph/ops-experts.h"

namespace moebius_test {

// Weight, a and b of `of`, from `first` on.
inline expert_matrices expert_stack(const std::vector<train_value> & of, size_t first, float scale) {
    expert_matrices matrices{ of[first].tensor, of[first + 1].tensor, of[first + 2].tensor };
    matrices.scale   = scale;
    matrices.trained = of[first + 1].wanted() || of[first + 2].wanted();
    return matrices;
}

// A stack's gradient from those of its experts; those without tokens have none, and zeros in the stack. unused: one of them.
inline void add_stack_gradient(train_tape & tape, const train_value & stack, const expert_output & output, ggml_tensor * expert_matrices::* which, train_value used_adapter::* part, size_t unused) {
    if (!stack.wanted()) {
        return;
    }
    const int64_t *            ne = stack.tensor->ne;
    std::vector<ggml_tensor *> pieces(size_t(ne[2]), nullptr);
    for (const used_adapter & used : output.adapters) {
        if (used.matrices->*which == stack.tensor) {
            pieces[size_t(used.expert)] = tape.gradient(used.*part);
        }
    }
    CHECK(pieces[unused] == nullptr);
    tape.add_gradient(stack, ggml_reshape_3d(tape.context(), joined_columns(tape, pieces, std::vector<int64_t>(pieces.size(), ne[1])), ne[0], ne[1], ne[2]));
}

}  // namespace moebius_test
