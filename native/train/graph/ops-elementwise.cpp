#include "ops-elementwise.h"

#include "cpu-swiglu.h"
#include "nodes.h"

namespace moebius {

train_value train_add(train_tape & tape, const train_value & x, const train_value & y) {
    return tape.record(ggml_add(tape.context(), x.tensor, y.tensor), { x, y }, [&tape, x, y](ggml_tensor * gradient) {
        if (x.wanted()) {
            tape.add_gradient(x, gradient);
        }
        if (y.wanted()) {
            tape.add_gradient(y, reduced_to(tape, gradient, y.tensor));
        }
    });
}

train_value train_mul(train_tape & tape, const train_value & x, const train_value & y) {
    return tape.record(ggml_mul(tape.context(), x.tensor, y.tensor), { x, y }, [&tape, x, y](ggml_tensor * gradient) {
        if (x.wanted()) {
            tape.add_gradient(x, ggml_mul(tape.context(), gradient, y.tensor));
        }
        if (y.wanted()) {
            tape.add_gradient(y, reduced_to(tape, ggml_mul(tape.context(), gradient, x.tensor), y.tensor));
        }
    });
}

train_value train_scale(train_tape & tape, const train_value & x, float factor) {
    if (factor == 1) {
        return x;
    }
    return tape.record(ggml_scale(tape.context(), x.tensor, factor), { x },
                       [&tape, x, factor](ggml_tensor * gradient) { tape.add_gradient(x, ggml_scale(tape.context(), gradient, factor)); });
}

train_value train_reshape(train_tape & tape, const train_value & x, int64_t n0, int64_t n1, int64_t n2) {
    return tape.record(ggml_reshape_3d(tape.context(), x.tensor, n0, n1, n2), { x },
                       [&tape, x](ggml_tensor * gradient) { tape.add_gradient(x, ggml_reshape(tape.context(), gradient, x.tensor)); });
}

train_value train_sigmoid(train_tape & tape, const train_value & x) {
    ggml_tensor * y = ggml_sigmoid(tape.context(), x.tensor);
    return tape.record(y, { x }, [&tape, x, y](ggml_tensor * gradient) {
        ggml_tensor * of_y = ggml_mul(tape.context(), gradient, y);
        tape.add_gradient(x, ggml_sub(tape.context(), of_y, ggml_mul(tape.context(), of_y, y)));  // dy y (1 - y)
    });
}

train_value train_silu(train_tape & tape, const train_value & x) {
    return tape.record(ggml_silu(tape.context(), x.tensor), { x },
                       [&tape, x](ggml_tensor * gradient) { tape.add_gradient(x, ggml_silu_back(tape.context(), gradient, x.tensor)); });
}

train_value train_swiglu(train_tape & tape, const train_value & gate, const train_value & up, const train_value & weights) {
    if (tape.on_cpu()) {
        return swiglu_on_cpu(tape, gate, up, weights);
    }
    const train_value hidden = tape.record(ggml_swiglu_split(tape.context(), gate.tensor, up.tensor), { gate, up }, [&tape, gate, up](ggml_tensor * gradient) {
        if (up.wanted()) {
            tape.add_gradient(up, ggml_mul(tape.context(), gradient, ggml_silu(tape.context(), gate.tensor)));
        }
        if (gate.wanted()) {
            tape.add_gradient(gate, ggml_silu_back(tape.context(), ggml_mul(tape.context(), gradient, up.tensor), gate.tensor));
        }
    });
    return weights.tensor ? train_mul(tape, hidden, weights) : hidden;
}

train_value train_swiglu_fused(train_tape & tape, const train_value & gate_up, const train_value & weights) {
    if (tape.on_cpu()) {
        return swiglu_on_cpu(tape, gate_up, weights);
    }
    const train_value hidden = tape.record(ggml_swiglu(tape.context(), gate_up.tensor), { gate_up }, [&tape, gate_up](ggml_tensor * gradient) {
        ggml_context * context = tape.context();
        ggml_tensor *  both    = gate_up.tensor;
        const int64_t  n       = gradient->ne[0];
        ggml_tensor *  gate    = ggml_cont(context, ggml_view_2d(context, both, n, both->ne[1], both->nb[1], 0));
        ggml_tensor *  up      = ggml_cont(context, ggml_view_2d(context, both, n, both->ne[1], both->nb[1], size_t(n) * both->nb[0]));
        ggml_tensor *  of_gate = ggml_silu_back(context, ggml_mul(context, gradient, up), gate);
        tape.add_gradient(gate_up, ggml_concat(context, of_gate, ggml_mul(context, gradient, ggml_silu(context, gate)), 0));
    });
    return weights.tensor ? train_mul(tape, hidden, weights) : hidden;
}

train_value train_sum(train_tape & tape, const train_value & x) {
    ggml_tensor * sum = ggml_sum_rows(tape.context(), ggml_reshape_1d(tape.context(), x.tensor, ggml_nelements(x.tensor)));
    return tape.record(sum, { x }, [&tape, x](ggml_tensor * gradient) { tape.add_gradient(x, ggml_repeat(tape.context(), gradient, x.tensor)); });
}

}  // namespace moebius
