#include "cpu-swiglu.h"

#include "shared-work.h"
#include "train/kernels/product-tile.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr int64_t columns_of_piece = 64;

struct some_columns {
    int64_t begin = 0, end = 0;
};

// Columns of n numbers.
struct swiglu_work : shared_work<some_columns> {
    int64_t       n = 0;
    ggml_tensor * gate = nullptr;  // [n, columns], or [2 n, columns] with up behind each
    ggml_tensor * up = nullptr;    // null: behind the gate
    ggml_tensor * weights = nullptr;  // null: 1

    swiglu_work(ggml_tensor * gate, ggml_tensor * up, ggml_tensor * weights) : n(up ? gate->ne[0] : gate->ne[0] / 2), gate(gate), up(up), weights(weights) {
        for (const ggml_tensor * each : { gate, up, weights }) {
            GGML_ASSERT(!each || (each->type == GGML_TYPE_F32 && ggml_is_contiguous(each) && ggml_nrows(each) == columns()));
        }
        for (int64_t begin = 0; begin < columns(); begin += columns_of_piece) {
            pieces.push_back({ begin, std::min(begin + columns_of_piece, columns()) });
        }
    }

    int64_t columns() const { return ggml_nrows(gate); }

    static float * numbers_of(const ggml_tensor * tensor) { return static_cast<float *>(tensor->data); }

    // Of gates, or of their gradients, and of what belongs to up.
    float * gate_at(float * all, int64_t column) const { return all + column * (up ? n : 2 * n); }
    float * up_at(float * all, float * all_up, int64_t column) const { return up ? all_up + column * n : all + column * 2 * n + n; }

    const float * gate_of(int64_t column) const { return gate_at(numbers_of(gate), column); }
    const float * up_of(int64_t column) const { return up_at(numbers_of(gate), up ? numbers_of(up) : nullptr, column); }
    float         weight_of(int64_t column) const { return weights ? numbers_of(weights)[column] : 1; }
};

struct swiglu_forward : swiglu_work {
    using swiglu_work::swiglu_work;

    void compute(ggml_tensor * result, int threads) {
        run(threads, [&](const some_columns & piece) {
            for (int64_t i = piece.begin; i < piece.end; i++) {
                tile_kernels_get().swiglu(gate_of(i), up_of(i), weight_of(i), numbers_of(result) + i * n, n);
            }
        });
    }
};

// Its result has the gradients of gate, of up and of the weights, one behind the other.
struct swiglu_backward : swiglu_work {
    using swiglu_work::swiglu_work;
    ggml_tensor * gradient = nullptr;  // [n, columns]

    void compute(ggml_tensor * result, int threads) {
        float * const of_gate = numbers_of(result), * const of_up = of_gate + n * columns(), * const of_weights = of_gate + 2 * n * columns();
        run(threads, [&](const some_columns & piece) {
            for (int64_t i = piece.begin; i < piece.end; i++) {
                of_weights[i] = tile_kernels_get().swiglu_back(gate_of(i), up_of(i), numbers_of(gradient) + i * n, weight_of(i), gate_at(of_gate, i), up_at(of_gate, of_up, i), n);
            }
        });
    }
};

std::vector<ggml_tensor *> those_of(std::initializer_list<ggml_tensor *> tensors) {
    std::vector<ggml_tensor *> some;
    std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(some), [](const ggml_tensor * each) { return each != nullptr; });
    return some;
}

}  // namespace

train_value swiglu_on_cpu(train_tape & tape, const train_value & gate, const train_value & up, const train_value & weights) {
    auto                forward = std::make_shared<swiglu_forward>(gate.tensor, up.tensor, weights.tensor);
    const int64_t       n = forward->n, columns = forward->columns();
    ggml_tensor * const output = node_of(tape, std::move(forward), n, columns, 1, those_of({ gate.tensor, up.tensor, weights.tensor }));
    return tape.record(output, { gate, up, weights }, [&tape, gate, up, weights, n, columns](ggml_tensor * gradient) {
        auto work                 = std::make_shared<swiglu_backward>(gate.tensor, up.tensor, weights.tensor);
        work->gradient            = gradient;
        ggml_tensor * const all   = node_of(tape, std::move(work), 2 * n + 1, columns, 1, those_of({ gate.tensor, up.tensor, weights.tensor, gradient }));
        const auto          part  = [&](int64_t begin, int64_t width) { return ggml_view_2d(tape.context(), all, width, columns, size_t(width) * sizeof(float), size_t(begin) * sizeof(float)); };
        if (gate.wanted()) {
            tape.add_gradient(gate, part(0, gate.tensor->ne[0]));
        }
        if (up.wanted()) {
            tape.add_gradient(up, part(n * columns, n));
        }
        if (weights.wanted()) {
            tape.add_gradient(weights, part(2 * n * columns, 1));
        }
    });
}

train_value swiglu_on_cpu(train_tape & tape, const train_value & gate_up, const train_value & weights) { return swiglu_on_cpu(tape, gate_up, {}, weights); }

}  // namespace moebius
