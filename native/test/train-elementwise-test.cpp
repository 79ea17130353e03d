// Gradients of ops on single numbers, of the norm and of softmax.
#include "train-check.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-norm.h"
#include "train/graph/ops-softmax.h"

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

// y for number i of x [n, rows]
double other(const numbers & y, size_t i, size_t n, size_t size) {
    return y.size() == size ? y[i] : y.size() == 1 ? y[0] : y.size() == n ? y[i % n] : y[i / n];
}

void sums_and_products() {
    for (const operand & second : { operand{ 6, 5 }, operand{ 6 }, operand{ 1, 5 }, operand{ 1 } }) {
        for (const bool product : { false, true }) {
            check_op({ product ? "mul" : "add", { { 6, 5 }, second },
                       [&](graph_maker & maker, const values & of) { return product ? train_mul(maker.tape, of[0], of[1]) : train_add(maker.tape, of[0], of[1]); },
                       [&](const std::vector<numbers> & of) {
                           numbers y = of[0];
                           for (size_t i = 0; i < y.size(); i++) {
                               const double by = other(of[1], i, 6, y.size());
                               y[i]            = product ? y[i] * by : y[i] + by;
                           }
                           return y;
                       } });
        }
    }
    // the same value twice
    check_op({ "square", { { 6, 5 } }, [](graph_maker & maker, const values & of) { return train_mul(maker.tape, of[0], of[0]); },
               [](const std::vector<numbers> & of) {
                   numbers y = of[0];
                   for (double & value : y) {
                       value *= value;
                   }
                   return y;
               } });
}

void functions_of_one_number() {
    struct {
        const char *                                           name;
        std::function<train_value(train_tape &, train_value)>  graph;
        double (*reference)(double);
    } const all[] = {
        { "scale", [](train_tape & tape, train_value x) { return train_scale(tape, x, -2.5f); }, [](double x) { return -2.5 * x; } },
        { "sigmoid", [](train_tape & tape, train_value x) { return train_sigmoid(tape, x); }, sigmoid },
        { "silu", [](train_tape & tape, train_value x) { return train_silu(tape, x); }, [](double x) { return x * sigmoid(x); } },
    };
    for (const auto & op : all) {
        check_op({ op.name, { { 7, 4, 3, true, GGML_TYPE_F32, 3 } },
                   [&](graph_maker & maker, const values & of) { return train_reshape(maker.tape, op.graph(maker.tape, of[0]), 12, 7); },
                   [&](const std::vector<numbers> & of) {
                       numbers y = of[0];
                       for (double & value : y) {
                           value = op.reference(value);
                       }
                       return y;
                   } });
    }
    check_op({ "sum", { { 7, 4 } }, [](graph_maker & maker, const values & of) { return train_sum(maker.tape, of[0]); },
               [](const std::vector<numbers> & of) {
                   double sum = 0;
                   for (const double value : of[0]) {
                       sum += value;
                   }
                   return numbers{ sum };
               } });
}

// weights: [columns] or none
numbers swiglu(const numbers & gate, const numbers & up, const numbers & weights) {
    numbers      y;
    const size_t n = weights.empty() ? 0 : gate.size() / weights.size();
    for (size_t i = 0; i < gate.size(); i++) {
        y.push_back(gate[i] * sigmoid(gate[i]) * up[i] * (n == 0 ? 1 : weights[i / n]));
    }
    return y;
}

// [2 n, columns] -> the gates, or what is behind them
numbers half_of(const numbers & both, size_t n, size_t offset) {
    numbers half;
    for (size_t i = 0; i < both.size(); i += 2 * n) {
        half.insert(half.end(), both.begin() + ptrdiff_t(i + offset), both.begin() + ptrdiff_t(i + offset + n));
    }
    return half;
}

void swiglu_with_and_without_weights() {
    check_op({ "swiglu", { { 9, 4 }, { 9, 4 } }, [](graph_maker & maker, const values & of) { return train_swiglu(maker.tape, of[0], of[1]); },
               [](const std::vector<numbers> & of) { return swiglu(of[0], of[1], {}); } });
    check_op({ "weighed swiglu", { { 21, 70 }, { 21, 70 }, { 1, 70 } }, [](graph_maker & maker, const values & of) { return train_swiglu(maker.tape, of[0], of[1], of[2]); },
               [](const std::vector<numbers> & of) { return swiglu(of[0], of[1], of[2]); } });
    check_op({ "swiglu of one tensor", { { 18, 4 } }, [](graph_maker & maker, const values & of) { return train_swiglu_fused(maker.tape, of[0]); },
               [](const std::vector<numbers> & of) { return swiglu(half_of(of[0], 9, 0), half_of(of[0], 9, 9), {}); } });
    check_op({ "weighed swiglu of one tensor", { { 18, 4 }, { 1, 4 } }, [](graph_maker & maker, const values & of) { return train_swiglu_fused(maker.tape, of[0], of[1]); },
               [](const std::vector<numbers> & of) { return swiglu(half_of(of[0], 9, 0), half_of(of[0], 9, 9), of[1]); } });
}

void norm() {
    check_op({ "rms_norm of heads", { { 8, 3, 4 }, { 8 } }, [](graph_maker & maker, const values & of) { return train_rms_norm(maker.tape, of[0], of[1], 1e-2f); },
               [](const std::vector<numbers> & of) {
                   numbers y = of[0];
                   for (size_t row = 0; row < y.size(); row += 8) {
                       double squares = 0;
                       for (size_t i = row; i < row + 8; i++) {
                           squares += of[0][i] * of[0][i];
                       }
                       for (size_t i = row; i < row + 8; i++) {
                           y[i] = of[0][i] / std::sqrt(squares / 8 + double(1e-2f)) * of[1][i - row];
                       }
                   }
                   return y;
               } });
}

// softmax(scale x + mask) of rows of n, for 2 matrices with one mask
numbers softmax(const numbers & x, size_t n, const std::vector<float> & mask, double scale) {
    numbers y;
    for (size_t row = 0; row < x.size(); row += n) {
        double sum = 0;
        for (size_t i = row; i < row + n; i++) {
            y.push_back(std::exp(scale * x[i] + (mask.empty() ? 0 : double(mask[i % mask.size()]))));
            sum += y.back();
        }
        for (size_t i = row; i < row + n; i++) {
            y[i] /= sum;
        }
    }
    return y;
}

void softmax_and_log_sum() {
    std::vector<float> mask(7 * 4, 0.0f);
    for (size_t i = 0; i < mask.size(); i += 3) {
        mask[i] = -INFINITY;
    }
    check_op({ "softmax", { { 7, 4, 2 } }, [](graph_maker & maker, const values & of) { return train_softmax(maker.tape, of[0]); },
               [](const std::vector<numbers> & of) { return softmax(of[0], 7, {}, 1); } });
    check_op({ "softmax with mask and scale", { { 7, 4, 2 } },
               [&](graph_maker & maker, const values & of) { return train_softmax(maker.tape, of[0], maker.floats(mask, 7, 4), 0.3f); },
               [&](const std::vector<numbers> & of) { return softmax(of[0], 7, mask, double(0.3f)); } });
    // numbers whose exponentials no float holds
    check_op({ "log_sum_exp", { { 7, 5, 1, true, GGML_TYPE_F32, 200 } }, [](graph_maker & maker, const values & of) { return train_log_sum_exp(maker.tape, of[0]); },
               [](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t row = 0; row < of[0].size(); row += 7) {
                       double sum = 0;
                       for (size_t i = row; i < row + 7; i++) {
                           sum += std::exp(of[0][i]);  // at most e^700
                       }
                       y.push_back(std::log(sum));
                   }
                   return y;
               } });
}

}  // namespace

int main() {
    sums_and_products();
    functions_of_one_number();
    swiglu_with_and_without_weights();
    norm();
    softmax_and_log_sum();
    report_ops();
    return check_result();
}
