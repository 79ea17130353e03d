// Ops of train/ on every device, against plain loops in double precision.
#pragma once

#include "check.h"
#include "train/graph/runner.h"
#include "train/graph/tape.h"

#include <functional>
#include <string>
#include <vector>

namespace moebius_test {

using namespace moebius;

using numbers = std::vector<double>;

// What an op works on: random numbers, normally distributed.
struct operand {
    int64_t   n0 = 1, n1 = 1, n2 = 1;
    bool      wanted = true;           // its gradient
    ggml_type type   = GGML_TYPE_F32;  // the reference sees what this type makes of the numbers
    double    spread = 1;

    size_t size() const { return size_t(n0 * n1 * n2); }
};

// A graph to be, with inputs and what the host writes there.
struct graph_maker {
    train_tape & tape;

    ggml_tensor * ids(const std::vector<int32_t> & values, int64_t n0, int64_t n1 = 1) { return keep(tape.input(GGML_TYPE_I32, n0, n1), values.data()); }
    ggml_tensor * floats(const std::vector<float> & values, int64_t n0, int64_t n1 = 1) { return keep(tape.input(GGML_TYPE_F32, n0, n1), values.data()); }
    ggml_tensor * keep(ggml_tensor * input, const void * data) {
        const auto * bytes = static_cast<const uint8_t *>(data);
        written.push_back({ input, std::vector<uint8_t>(bytes, bytes + ggml_nbytes(input)) });
        return input;
    }

    std::vector<std::pair<ggml_tensor *, std::vector<uint8_t>>> written;
};

struct op_check {
    std::string          name;
    std::vector<operand> operands;
    // The op on the operands, in ggml.
    std::function<train_value(graph_maker & maker, const std::vector<train_value> & operands)> graph;
    // The same in double precision, loops that anyone can follow.
    std::function<numbers(const std::vector<numbers> & operands)> reference;
    // After backward(): adds gradients to operands that the op knows only in parts. May be empty.
    std::function<void(graph_maker & maker, const std::vector<train_value> & operands)> finish = {};
};

// The largest difference of sums of some hundred products in F32, as a share of the largest number of the same tensor. Exponentials
// of ggml's vector code are good to about 2e-7.
constexpr double f32_tolerance = 1e-5;

// The CPU, another machine (a process) and every GPU there is; the first time it says which.
const std::vector<ggml_backend_dev_t> & train_devices();

// On every device: the result equals the reference's, and all gradients of sum(result * random numbers) equal central differences of the
// reference, with all operands wanted and, on the CPU, with each alone. All nodes are such that the CPU computes them; those that a GPU doesn't are listed.
void check_op(const op_check & check);

// Ops that check_op saw, and which device lacks which of them.
void report_ops();

}  // namespace moebius_test
