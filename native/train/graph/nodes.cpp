#include "nodes.h"

#include "cpu-product.h"
#include "rpc/errors.h"

#include <numeric>

namespace moebius {

ggml_tensor * product(train_tape & tape, ggml_tensor * a, ggml_tensor * b) {
    const auto own = [&](ggml_tensor * x) {
        // Vulkan copies a factor with gaps to F16, and gives up on one at a crooked address; neither happens at usual sizes
        return ggml_is_contiguous(x) && x->view_offs % tape.alignment() == 0 ? x : ggml_cont(tape.context(), x);
    };
    ggml_tensor * result = ggml_mul_mat(tape.context(), own(a), own(b));
    ggml_prec_set_acc(result, GGML_PREC_F32);
    return tape.emit(result);
}

ggml_tensor * dequantised(train_tape & tape, ggml_tensor * matrix) {
    if (matrix->type == GGML_TYPE_F32) {
        return matrix;
    }
    ggml_tensor * cast = ggml_cast(tape.context(), matrix, GGML_TYPE_F32);
    if (tape.computes(cast)) {
        return tape.emit(cast);
    }
    // K-quants on Vulkan: there are kernels for rows, none for copies
    const int64_t count = ggml_nrows(matrix);
    ggml_tensor * all   = ggml_cast(tape.context(), ggml_arange(tape.context(), 0, float(count), 1), GGML_TYPE_I32);
    ggml_tensor * rows  = ggml_get_rows(tape.context(), ggml_reshape_2d(tape.context(), matrix, matrix->ne[0], count), all);
    if (count < (1 << 24) && tape.computes(all) && tape.computes(rows)) {
        return tape.emit(ggml_reshape(tape.context(), rows, cast));
    }
    throw user_error("model.unsupported", std::string("This device can't convert weights of type ") + ggml_type_name(matrix->type) + " to F32. Train on the CPU.",
                     { { "type", ggml_type_name(matrix->type) } });
}

ggml_tensor * through_matrix(train_tape & tape, ggml_tensor * matrix, ggml_tensor * x) {
    if (tape.on_cpu()) {
        return product_of_rows(tape, matrix->ne[1], x->ne[1], { { 0, 0, x->ne[1] } }, { { x, matrix } });
    }
    return product(tape, dequantised(tape, matrix), x);
}

ggml_tensor * back_through_matrix(train_tape & tape, ggml_tensor * matrix, ggml_tensor * gradient) {
    if (tape.on_cpu()) {
        return product_of_rows(tape, matrix->ne[0], gradient->ne[1], { { 0, 0, gradient->ne[1] } }, { { gradient, matrix, true } });
    }
    return product(tape, tape.transposed(dequantised(tape, matrix)), gradient);
}

ggml_tensor * back_to_matrix(train_tape & tape, ggml_tensor * x, ggml_tensor * gradient) {
    if (tape.on_cpu()) {
        return product_over_rows(tape, x, gradient, 1, { { 0, 0, x->ne[1] } });
    }
    return product(tape, tape.transposed(x), tape.transposed(gradient));
}

ggml_tensor * rows_of(train_tape & tape, ggml_tensor * matrix, ggml_tensor * ids) {
    ggml_tensor * rows = ggml_get_rows(tape.context(), matrix, ids);
    return tape.emit(tape.computes(rows) ? rows : ggml_get_rows(tape.context(), dequantised(tape, matrix), ids));
}

ggml_tensor * reduced_to(train_tape & tape, ggml_tensor * gradient, const ggml_tensor * like) {
    ggml_context * context = tape.context();
    if (ggml_are_same_shape(gradient, like)) {
        return gradient;
    }
    const int64_t n = gradient->ne[0], rows = ggml_nrows(gradient);
    if (ggml_nelements(like) == 1) {
        return tape.emit(ggml_reshape(context, ggml_sum_rows(context, ggml_reshape_2d(context, gradient, n * rows, 1)), const_cast<ggml_tensor *>(like)));
    }
    if (like->ne[0] == 1) {
        GGML_ASSERT(ggml_nrows(like) == rows);
        return tape.emit(ggml_sum_rows(context, gradient));
    }
    GGML_ASSERT(like->ne[0] == n && ggml_nrows(like) == 1);
    // not ggml_repeat_back: one thread on the CPU, missing on Metal
    ggml_tensor * by_column = ggml_cont(context, ggml_transpose(context, ggml_reshape_2d(context, gradient, n, rows)));  // [rows, n]
    return tape.emit(ggml_reshape(context, ggml_sum_rows(context, by_column), const_cast<ggml_tensor *>(like)));
}

ggml_tensor * one_of_each_row(train_tape & tape, ggml_tensor * x, ggml_tensor * at) {
    ggml_context * context = tape.context();
    const int64_t  rows    = x->ne[1];
    ggml_tensor *  chosen  = ggml_get_rows(context, ggml_reshape_3d(context, x, 1, x->ne[0], rows), ggml_reshape_2d(context, at, 1, rows));  // [1, 1, rows]
    return tape.emit(ggml_reshape_2d(context, chosen, 1, rows));
}

softmax_nodes softmax_with_log_sum(train_tape & tape, ggml_tensor * x) {
    ggml_context * context = tape.context();
    softmax_nodes  made;
    made.probabilities    = tape.emit(ggml_soft_max(context, x));
    ggml_tensor * largest = tape.emit(ggml_argmax(context, x));  // I32 [rows]
    ggml_tensor * share   = one_of_each_row(tape, made.probabilities, largest);
    made.log_sum          = tape.emit(ggml_sub(context, one_of_each_row(tape, x, largest), ggml_log(context, share)));
    return made;
}

ggml_tensor * joined_columns(train_tape & tape, const std::vector<ggml_tensor *> & pieces, const std::vector<int64_t> & counts) {
    ggml_context * context = tape.context();
    ggml_tensor *  some    = nullptr;
    bool           all     = true;
    for (ggml_tensor * piece : pieces) {
        some = some ? some : piece;
        all  = all && piece;
    }
    GGML_ASSERT(some);
    const int64_t n = some->ne[0], columns = std::accumulate(counts.begin(), counts.end(), int64_t(0));
    if (some->ne[1] == columns) {
        return some;
    }
    // Memory for the whole, and then each piece is written into it: ggml_concat would copy the first pieces again and again.
    ggml_tensor * whole = ggml_repeat_4d(context, columns_of(tape, some, 0, 1), n, columns, 1, 1);
    if (!all) {
        whole = ggml_scale(context, whole, 0);
    }
    int64_t begin = 0;
    for (size_t i = 0; i < pieces.size(); begin += counts[i++]) {
        const size_t offset = size_t(begin) * whole->nb[1];
        if (pieces[i]) {
            GGML_ASSERT(offset < (size_t(1) << 30));  // of ggml_set
            whole = ggml_set_2d_inplace(context, whole, pieces[i], whole->nb[1], offset);
        }
    }
    return tape.emit(whole);
}

ggml_tensor * columns_of(train_tape & tape, ggml_tensor * matrix, int64_t begin, int64_t count) {
    return ggml_view_2d(tape.context(), matrix, matrix->ne[0], count, matrix->nb[1], size_t(begin) * matrix->nb[1]);
}

}  // namespace moebius
