#include "ops-norm.h"

#include "ops-elementwise.h"

namespace moebius {

train_value train_rms_norm(train_tape & tape, const train_value & x, const train_value & weight, float epsilon) {
    const train_value normed = tape.record(ggml_rms_norm(tape.context(), x.tensor, epsilon), { x }, [&tape, x, epsilon](ggml_tensor * gradient) {
        tape.add_gradient(x, ggml_rms_norm_back(tape.context(), gradient, x.tensor, epsilon));
    });
    return train_mul(tape, normed, weight);
}

}  // namespace moebius
