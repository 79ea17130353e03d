// A tape together with what the host writes into it: one computation, in one go or in parts.
#pragma once

#include "routing.h"
#include "runner.h"

namespace moebius {

class tape_job {
  public:
    // nodes: as train_tape
    tape_job(ggml_backend_dev_t device, size_t nodes) : tape(device, nodes), device(device) {}

    train_tape tape;

    // Inputs with their data, which is copied.
    void                   write(ggml_tensor * input, const void * data);
    template <typename Values = std::vector<float>> ggml_tensor * floats(const Values & values, int64_t n0, int64_t n1 = 1) {
        ggml_tensor * const input = tape.input(GGML_TYPE_F32, n0, n1);
        write(input, values.data());
        return input;
    }
    ggml_tensor *          ids(const std::vector<int32_t> & values, int64_t n0, int64_t n1 = 1);
    routing_inputs::writer writer();

    // What is emitted from here on is computed by the next run(), and inputs that are made without data may be written in between.
    void pause() { pauses.push_back(ggml_graph_n_nodes(tape.graph())); }

    // Its tensors lie in `memory`, which is nobody else's while the job lives; else in the runner's until that runs another job. Before run().
    void   lie_in(graph_memory & memory) { its_memory = &memory; }
    // Bytes that they take.
    size_t needed() { return graph_memory::needed(device, plan()); }

    // Writes the inputs and computes, up to the pause of that number or to the end, from where it stopped; nothing if it is there. Throws what train_runner does.
    void run(train_runner & runner, size_t pause = SIZE_MAX);

  private:
    static void   write_now(ggml_tensor * input, const void * data);
    ggml_cgraph * plan();

    ggml_backend_dev_t                                          device;
    std::vector<std::pair<ggml_tensor *, std::vector<uint8_t, spare_memory<uint8_t>>>> inputs;  // until there is memory for them
    std::vector<int>                                            pauses;  // nodes before each
    graph_memory *                                              its_memory = nullptr;
    ggml_context_ptr                                            planned;
    ggml_cgraph *                                               needed_nodes = nullptr;
    int                                                         done         = -1;  // nodes; -1: nothing is allocated
};

}  // namespace moebius
