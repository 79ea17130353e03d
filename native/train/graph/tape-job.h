// A tape together with what the host writes into it: one computation, in one go or in two.
#pragma once

#include "routing.h"
#include "runner.h"

namespace moebius {

class tape_job {
  public:
    // nodes: as train_tape
    tape_job(ggml_backend_dev_t device, size_t nodes) : tape(device, nodes) {}

    train_tape tape;

    // Inputs with their data, which is copied.
    void                   write(ggml_tensor * input, const void * data);
    ggml_tensor *          floats(const std::vector<float> & values, int64_t n0, int64_t n1 = 1);
    ggml_tensor *          ids(const std::vector<int32_t> & values, int64_t n0, int64_t n1 = 1);
    routing_inputs::writer writer();

    // What is emitted from here on is computed by the second run only, and inputs that are made without data may be written in between.
    void pause() { paused = ggml_graph_n_nodes(tape.graph()); }

    // Writes the inputs and computes: without pause() all, else up to there, and with the second call the rest. Throws what train_runner does.
    void run(train_runner & runner);

  private:
    std::vector<std::pair<ggml_tensor *, std::vector<uint8_t>>> inputs;
    int                                                         paused = 0, done = 0;  // nodes
};

}  // namespace moebius
