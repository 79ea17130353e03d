#include "tape-job.h"

#include <cstring>
#include <unordered_set>

namespace moebius {

// Inputs have memory of their own until nothing needs them any more.
void tape_job::write_now(ggml_tensor * input, const void * data) {
    if (input->buffer) {  // else nothing needs it
        train_runner::write(input, data);
    }
}

void tape_job::write(ggml_tensor * input, const void * data) {
    if (done >= 0) {
        write_now(input, data);
        return;
    }
    inputs.emplace_back().first = input;
    inputs.back().second.resize(ggml_nbytes(input));
    std::memcpy(inputs.back().second.data(), data, ggml_nbytes(input));
}

ggml_tensor * tape_job::ids(const std::vector<int32_t> & values, int64_t n0, int64_t n1) {
    ggml_tensor * input = tape.input(GGML_TYPE_I32, n0, n1);
    write(input, values.data());
    return input;
}

routing_inputs::writer tape_job::writer() {
    return [this](ggml_tensor * input, const void * data) { write(input, data); };
}

// Without nodes from which nothing leads to what is kept: when a layer is computed again for its gradients, its last products have nobody who reads them.
ggml_cgraph * tape_job::plan() {
    if (needed_nodes) {
        return needed_nodes;
    }
    ggml_cgraph * const                     all   = tape.graph();
    const int                               count = ggml_graph_n_nodes(all);
    std::unordered_set<const ggml_tensor *> needed;
    for (int i = count - 1; i >= 0; i--) {
        const ggml_tensor * const node = ggml_graph_node(all, i);
        if ((node->flags & GGML_TENSOR_FLAG_OUTPUT) != 0 || needed.count(node) > 0) {
            needed.insert({ node, node->view_src });
            needed.insert(std::begin(node->src), std::end(node->src));
        }
    }
    planned.reset(ggml_init({ ggml_graph_overhead_custom(size_t(ggml_graph_size(all)), false), nullptr, true }));
    needed_nodes = ggml_new_graph_custom(planned.get(), size_t(ggml_graph_size(all)), false);
    for (int i = 0, next = 0; i <= count; i++) {
        for (; next < int(pauses.size()) && pauses[size_t(next)] == i; next++) {
            pauses[size_t(next)] = ggml_graph_n_nodes(needed_nodes);
        }
        if (i < count && needed.count(ggml_graph_node(all, i)) > 0) {
            ggml_build_forward_expand(needed_nodes, ggml_graph_node(all, i));
        }
    }
    return needed_nodes;
}

void tape_job::run(train_runner & runner, size_t pause) {
    ggml_cgraph * const graph = plan();
    const int           end   = pause < pauses.size() ? pauses[pause] : ggml_graph_n_nodes(graph);
    if (done >= end) {
        return;
    }
    if (done < 0) {
        its_memory ? its_memory->allocate(graph) : runner.allocate(graph);
        done = 0;
    }
    for (const auto & [input, bytes] : inputs) {
        write_now(input, bytes.data());
    }
    inputs.clear();
    runner.compute(graph, done, end);
    done = end;
}

}  // namespace moebius
