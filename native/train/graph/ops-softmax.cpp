#include "ops-softmax.h"

#include "nodes.h"

namespace moebius {

train_value train_softmax(train_tape & tape, const train_value & x, ggml_tensor * mask, float scale) {
    ggml_tensor * y = ggml_soft_max_ext(tape.context(), x.tensor, mask, scale, 0);
    return tape.record(y, { x }, [&tape, x, y, scale](ggml_tensor * gradient) { tape.add_gradient(x, ggml_soft_max_ext_back(tape.context(), gradient, y, scale, 0)); });
}

train_value train_log_sum_exp(train_tape & tape, const train_value & x) {
    const softmax_nodes made = softmax_with_log_sum(tape, x.tensor);
    return tape.record(made.log_sum, { x }, [&tape, x, y = made.probabilities](ggml_tensor * gradient) { tape.add_gradient(x, ggml_mul(tape.context(), y, gradient)); });
}

}  // namespace moebius
