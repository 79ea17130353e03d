#include "ops-linear.h"

#include "nodes.h"
#include "ops-elementwise.h"

namespace moebius {

// Input gradients are products with the transposed weight, weight gradients products of transposed activations, all by mul_mat:
// ggml_out_prod dequantises the weight again for every row, is far slower on the CPU, and missing on Metal.

train_value train_linear(train_tape & tape, ggml_tensor * weight, const train_value & x) {
    return tape.record(product(tape, dequantised(tape, weight), x.tensor), { x }, [&tape, weight, x](ggml_tensor * gradient) {
        // converted again: kept from the forward pass, the F32 weights of all layers would be in memory at once
        tape.add_gradient(x, product(tape, tape.transposed(dequantised(tape, weight)), gradient));
    });
}

train_value train_linear(train_tape & tape, const train_value & weight, const train_value & x) {
    return tape.record(product(tape, weight.tensor, x.tensor), { weight, x }, [&tape, weight, x](ggml_tensor * gradient) {
        if (weight.wanted()) {
            tape.add_gradient(weight, product(tape, tape.transposed(x.tensor), tape.transposed(gradient)));
        }
        if (x.wanted()) {
            tape.add_gradient(x, product(tape, tape.transposed(weight.tensor), gradient));
        }
    });
}

train_value train_lora(train_tape & tape, ggml_tensor * weight, const lora_weights & lora, const train_value & x) {
    const train_value input = lora.dropout ? train_mul(tape, x, train_value(lora.dropout)) : x;
    const train_value inner = train_scale(tape, train_linear(tape, lora.a, input), lora.scale);  // [r, columns]: the smallest to scale
    return train_add(tape, train_linear(tape, weight, x), train_linear(tape, lora.b, inner));
}

}  // namespace moebius
