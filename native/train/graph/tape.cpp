#include "tape.h"

#include <algorithm>

namespace moebius {

train_tape::train_tape(ggml_backend_dev_t device, size_t nodes_most)
    : device(device),
      memory(ggml_init({ nodes_most * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes_most, false), nullptr, true })),
      nodes(ggml_new_graph_custom(memory.get(), nodes_most, false)) {}

ggml_tensor * train_tape::input(ggml_type type, int64_t n0, int64_t n1, int64_t n2) {
    ggml_tensor * tensor = ggml_new_tensor_3d(context(), type, n0, n1, n2);
    ggml_set_input(tensor);
    return tensor;
}

train_value train_tape::variable(ggml_tensor * tensor) {
    GGML_ASSERT(tensor->type == GGML_TYPE_F32 && ggml_is_contiguous(tensor));
    values.push_back(tensor);
    gradients.push_back(nullptr);
    return { tensor, int32_t(values.size()) - 1 };
}

train_value train_tape::record(ggml_tensor * output, std::initializer_list<train_value> inputs, pullback back) {
    return record(std::vector<ggml_tensor *>{ output }, std::vector<train_value>(inputs), [back = std::move(back)](const std::vector<ggml_tensor *> & of) { back(of[0]); })[0];
}

std::vector<train_value> train_tape::record(const std::vector<ggml_tensor *> & outputs, const std::vector<train_value> & inputs, pullback_of_many back) {
    const bool               wanted = std::any_of(inputs.begin(), inputs.end(), [](const train_value & input) { return input.wanted(); });
    std::vector<train_value> result;
    op                       made;
    for (ggml_tensor * output : outputs) {
        emit(output);
        result.push_back(wanted ? variable(output) : train_value(output));
        made.outputs.push_back(result.back().id);
    }
    if (wanted) {
        made.back = std::move(back);
        ops.push_back(std::move(made));
    }
    return result;
}

void train_tape::add_gradient(const train_value & of, ggml_tensor * gradient) {
    GGML_ASSERT(of.wanted() && gradient->type == GGML_TYPE_F32 && ggml_are_same_shape(of.tensor, gradient));
    if (!ggml_is_contiguous(gradient)) {
        gradient = ggml_cont(context(), gradient);
    }
    ggml_tensor *& sum = gradients[size_t(of.id)];
    sum                = emit(sum ? ggml_add(context(), sum, gradient) : gradient);
}

ggml_tensor * train_tape::transposed(ggml_tensor * x) {
    ggml_tensor *& made = transposes[x];
    if (!made) {
        made = emit(ggml_cont(context(), ggml_transpose(context(), x)));
    }
    return made;
}

ggml_tensor * train_tape::emit(ggml_tensor * node) {
    ggml_build_forward_expand(nodes, node);
    return node;
}

void train_tape::backward() {
    for (; !ops.empty(); ops.pop_back()) {
        const op &                 last = ops.back();
        std::vector<ggml_tensor *> of;
        for (const int32_t id : last.outputs) {
            of.push_back(gradients[size_t(id)]);
        }
        if (std::any_of(of.begin(), of.end(), [](const ggml_tensor * gradient) { return gradient != nullptr; })) {
            last.back(of);
        }
    }
}

ggml_tensor * train_tape::gradient(const train_value & of) const {
    return of.wanted() ? gradients[size_t(of.id)] : nullptr;
}

ggml_tensor * train_tape::keep(ggml_tensor * tensor) {
    ggml_set_output(tensor);
    return emit(tensor);
}

}  // namespace moebius
