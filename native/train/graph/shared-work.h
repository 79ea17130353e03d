// Work of one node of our own in a graph of the CPU: pieces that whichever thread is free takes. What comes out does not depend on who takes what.
#pragma once

#include "tape.h"

#include <atomic>
#include <memory>

namespace moebius {

template <typename Piece> struct shared_work {
    std::vector<Piece>  pieces;
    std::atomic<size_t> next{ 0 };
    std::atomic<int>    done{ 0 };  // threads

    // Called by every thread of a computation.
    template <typename Work> void run(int threads, Work && work) {
        for (size_t i = next++; i < pieces.size(); i = next++) {
            work(pieces[i]);
        }
        if (++done == threads) {  // the last one, for the next computation
            done = 0;
            next = 0;
        }
    }
};

// A node F32 [n0, n1, n2] that `work->compute(node, threads)` fills, on all threads at once. The tape keeps `work`.
template <typename Work> ggml_tensor * node_of(train_tape & tape, std::shared_ptr<Work> work, int64_t n0, int64_t n1, int64_t n2, std::vector<ggml_tensor *> sources) {
    GGML_ASSERT(sources.size() <= GGML_MAX_SRC);
    const ggml_custom_op_t compute = [](ggml_tensor * node, int, int threads, void * what) { static_cast<Work *>(what)->compute(node, threads); };
    ggml_tensor * const    node    = ggml_custom_4d(tape.context(), GGML_TYPE_F32, n0, n1, n2, 1, sources.data(), int(sources.size()), compute, GGML_N_TASKS_MAX, work.get());
    tape.own(std::move(work));
    return tape.emit(node);
}

}  // namespace moebius
