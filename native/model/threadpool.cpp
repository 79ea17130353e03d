#include "threadpool.h"

#include <ggml-cpu.h>

#include <algorithm>

namespace moebius {

namespace {

// Backends are loaded when the program runs: their functions are known by name. Null: this one has no such function.
template <typename F> F * function_of(ggml_backend_dev_t device, const char * name) {
    return device ? reinterpret_cast<F *>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name)) : nullptr;
}

}  // namespace

threadpool threadpool_start(int count, bool paused) {
    ggml_backend_dev_t cpu     = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    const auto         create  = function_of<decltype(ggml_threadpool_new)>(cpu, "ggml_threadpool_new");
    const auto         destroy = function_of<decltype(ggml_threadpool_free)>(cpu, "ggml_threadpool_free");
    if (!create || !destroy) {
        return nullptr;
    }
    ggml_threadpool_params parameters = ggml_threadpool_params_default(std::max(1, count));
    parameters.paused                 = paused;
    return threadpool(create(&parameters), destroy);
}

void threadpool_attach(ggml_backend_t backend, const threadpool & pool, int count) {
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    if (const auto set_threads = function_of<decltype(ggml_backend_cpu_set_n_threads)>(device, "ggml_backend_set_n_threads")) {
        set_threads(backend, std::max(1, count));
    }
    const auto set_threadpool = function_of<decltype(ggml_backend_cpu_set_threadpool)>(device, "ggml_backend_cpu_set_threadpool");
    if (pool && set_threadpool) {
        set_threadpool(backend, pool.get());
    }
}

}  // namespace moebius
