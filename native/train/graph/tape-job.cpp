#include "tape-job.h"

namespace moebius {

void tape_job::write(ggml_tensor * input, const void * data) {
    const auto * bytes = static_cast<const uint8_t *>(data);
    inputs.emplace_back(input, std::vector<uint8_t>(bytes, bytes + ggml_nbytes(input)));
}

ggml_tensor * tape_job::floats(const std::vector<float> & values, int64_t n0, int64_t n1) {
    ggml_tensor * input = tape.input(GGML_TYPE_F32, n0, n1);
    write(input, values.data());
    return input;
}

ggml_tensor * tape_job::ids(const std::vector<int32_t> & values, int64_t n0, int64_t n1) {
    ggml_tensor * input = tape.input(GGML_TYPE_I32, n0, n1);
    write(input, values.data());
    return input;
}

routing_inputs::writer tape_job::writer() {
    return [this](ggml_tensor * input, const void * data) { write(input, data); };
}

void tape_job::run(train_runner & runner) {
    if (done == 0) {
        runner.allocate(tape.graph());
    }
    for (const auto & [input, bytes] : inputs) {
        if (input->buffer) {  // else nothing needs it
            train_runner::write(input, bytes.data());
        }
    }
    inputs.clear();
    const int all = ggml_graph_n_nodes(tape.graph());
    const int end = done < paused ? paused : all;
    runner.compute(tape.graph(), done, end);
    done = end;
}

}  // namespace moebius
