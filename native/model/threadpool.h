// Threads of the CPU's backend that stay between graphs: without a pool it starts them anew for each.
#pragma once

#include <ggml-backend.h>

#include <memory>

namespace moebius {

// For one graph at a time. Lives longer than the backends that use it. Null: this backend has no pools.
using threadpool = std::shared_ptr<ggml_threadpool>;

// count: of threads, the one that asks for a graph included. paused: they sleep until they are wanted.
threadpool threadpool_start(int count, bool paused = false);

// A backend computes on `count` threads from now on, those of the pool if it is the CPU's and there is one. Nothing for backends that don't compute on threads.
void threadpool_attach(ggml_backend_t backend, const threadpool & pool, int count);

}  // namespace moebius
