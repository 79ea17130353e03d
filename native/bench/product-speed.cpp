// product-speed THREADS: the F32 product speed of this machine, operations a second: the best of ten products of 2048 x 2048, of the trainer's own kernels and of ggml's CPU backend.
#include "model/backends.h"
#include "train/graph/cpu-product.h"
#include "train/graph/nodes.h"
#include "train/graph/runner.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

using namespace moebius;

namespace {

constexpr int64_t size = 2048;

double speed_of(ggml_backend_dev_t device, int threads, bool own) {
    train_runner  runner(device, threads);
    train_tape    tape(device, 64);
    ggml_tensor * a = tape.input(GGML_TYPE_F32, size, size);
    ggml_tensor * b = tape.input(GGML_TYPE_F32, size, size);
    tape.keep(own ? through_matrix(tape, a, b) : product(tape, a, b));
    runner.allocate(tape.graph());
    const std::vector<float> ones(size_t(size * size), 1.0f);
    double                   best = 1e9;
    for (int i = 0; i < 10; i++) {
        train_runner::write(a, ones.data());
        train_runner::write(b, ones.data());
        const auto began = std::chrono::steady_clock::now();
        runner.compute(tape.graph());
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    return 2.0 * double(size * size * size) / best;
}

}  // namespace

int main(int count, char ** arguments) {
    const int threads = count == 2 ? std::atoi(arguments[1]) : 0;
    if (threads < 1) {
        std::fprintf(stderr, "usage: product-speed THREADS\n");
        return 2;
    }
    backends_load();
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    std::printf("%.0f\n", std::max(speed_of(device, threads, true), speed_of(device, threads, false)));
    return 0;
}
