#include "ops-linear.h"

#include "nodes.h"
#include "ops-elementwise.h"
#include "ops-grouped.h"

namespace moebius {

// Input gradients are products with the transposed weight, weight gradients products of transposed activations, all by mul_mat:
// ggml_out_prod dequantises the weight again for every row, is far slower on the CPU, and missing on Metal. The CPU has products of our own, which copy nothing.

namespace {

std::vector<row_group> one_group(const train_value & x) {
    return { { 0, 0, x.tensor->ne[1] } };
}

}  // namespace

train_value train_linear(train_tape & tape, ggml_tensor * weight, const train_value & x) {
    // where it is converted, it is converted again for the gradient: kept from the forward pass, the F32 weights of a layer would be in memory at once
    return tape.record(through_matrix(tape, weight, x.tensor), { x }, [&tape, weight, x](ggml_tensor * gradient) { tape.add_gradient(x, back_through_matrix(tape, weight, gradient)); });
}

train_value train_linear(train_tape & tape, const train_value & weight, const train_value & x) {
    return tape.record(through_matrix(tape, weight.tensor, x.tensor), { weight, x }, [&tape, weight, x](ggml_tensor * gradient) {
        if (weight.wanted()) {
            tape.add_gradient(weight, back_to_matrix(tape, x.tensor, gradient));
        }
        if (x.wanted()) {
            tape.add_gradient(x, back_through_matrix(tape, weight.tensor, gradient));
        }
    });
}

namespace {

train_value kept_input(train_tape & tape, const lora_weights & lora, const train_value & x) {
    return lora.dropout ? train_mul(tape, x, train_value(lora.dropout)) : x;
}

}  // namespace

train_value train_low_rank(train_tape & tape, const lora_weights & lora, const train_value & x) {
    const train_value inner = train_scale(tape, train_linear(tape, lora.a, kept_input(tape, lora, x)), lora.scale);  // [r, columns]: the smallest to scale
    return train_linear(tape, lora.b, inner);
}

train_value train_lora(train_tape & tape, ggml_tensor * weight, const lora_weights & lora, const train_value & x) {
    if (tape.on_cpu()) {
        return train_grouped_linear(tape, x, one_group(x), { { weight, lora.a.tensor, lora.b.tensor, lora.scale, { 0 }, { lora.a }, { lora.b }, kept_input(tape, lora, x) } })[0];
    }
    const train_value frozen = train_linear(tape, weight, x);
    return train_add(tape, frozen, train_low_rank(tape, lora, x));
}

}  // namespace moebius
