// The CPU backend's own kernels, called row by row: same code as llama.cpp's, so same bits.
#pragma once

#include <ggml-cpu.h>
#include <ggml.h>

namespace moebius {

// y[i] = silu(x[i]) * g[i], i < n
using swiglu_kernel = void (*)(int n, float * y, const float * x, const float * g);

struct cpu_kernels {
    const ggml_type_traits_cpu * (*traits)(ggml_type type) = nullptr;
    swiglu_kernel                swiglu                    = nullptr;  // never null
};

// Of the CPU backend that was loaded. `traits` is null if there is none, or if it hides them.
const cpu_kernels & cpu_kernels_get();

}  // namespace moebius
