#include "ops-heads.h"

#include "nodes.h"

namespace moebius {

namespace {

// [a, b, c] -> [b, a, c]
ggml_tensor * turned(train_tape & tape, ggml_tensor * x) {
    return ggml_cont(tape.context(), ggml_permute(tape.context(), x, 1, 0, 2, 3));
}

// [a, b, c] -> [a, c, b]: heads' matrices from tokens' rows, and back
ggml_tensor * exchanged(train_tape & tape, ggml_tensor * x) {
    return ggml_cont(tape.context(), ggml_permute(tape.context(), x, 0, 2, 1, 3));
}

// [a, heads, tokens] -> [tokens, a, heads]: what to sum over first
ggml_tensor * tokens_first(train_tape & tape, ggml_tensor * x) {
    return ggml_cont(tape.context(), ggml_permute(tape.context(), x, 1, 2, 0, 3));
}

ggml_tensor * numbers_of(train_tape & tape, ggml_tensor * x, int64_t begin, int64_t count) {
    return ggml_view_3d(tape.context(), x, count, x->ne[1], x->ne[2], x->nb[1], x->nb[2], size_t(begin) * x->nb[0]);
}

}  // namespace

train_value train_numbers(train_tape & tape, const train_value & x, int64_t begin, int64_t count) {
    return tape.record(ggml_cont(tape.context(), numbers_of(tape, x.tensor, begin, count)), { x }, [&tape, x, begin, count](ggml_tensor * gradient) {
        tape.add_gradient(x, ggml_pad_ext(tape.context(), gradient, int(begin), int(x.tensor->ne[0] - begin - count), 0, 0, 0, 0, 0, 0));
    });
}

train_value train_with_shared(train_tape & tape, const train_value & own, const train_value & shared) {
    ggml_context * context = tape.context();
    const int64_t  n = own.tensor->ne[0], m = shared.tensor->ne[0], heads = own.tensor->ne[1], tokens = own.tensor->ne[2];
    ggml_tensor *  both = ggml_concat(context, own.tensor, ggml_repeat_4d(context, shared.tensor, m, heads, tokens, 1), 0);
    return tape.record(both, { own, shared }, [&tape, own, shared, n, m](ggml_tensor * gradient) {
        if (own.wanted()) {
            tape.add_gradient(own, numbers_of(tape, gradient, 0, n));
        }
        if (shared.wanted()) {
            ggml_tensor * sum = ggml_sum_rows(tape.context(), turned(tape, numbers_of(tape, gradient, n, m)));  // [1, m, tokens]
            tape.add_gradient(shared, ggml_reshape(tape.context(), sum, shared.tensor));
        }
    });
}

train_value train_transposed(train_tape & tape, const train_value & x) {
    return tape.record(turned(tape, x.tensor), { x }, [&tape, x](ggml_tensor * gradient) { tape.add_gradient(x, turned(tape, gradient)); });
}

train_value train_linear_of_heads(train_tape & tape, const train_value & weight, const train_value & x) {
    ggml_tensor * y = exchanged(tape, product(tape, weight.tensor, exchanged(tape, x.tensor)));
    return tape.record(y, { weight, x }, [&tape, weight, x](ggml_tensor * gradient) {
        if (weight.wanted()) {
            tape.add_gradient(weight, product(tape, tokens_first(tape, x.tensor), tokens_first(tape, gradient)));
        }
        if (x.wanted()) {
            tape.add_gradient(x, exchanged(tape, product(tape, turned(tape, weight.tensor), exchanged(tape, gradient))));
        }
    });
}

}  // namespace moebius
