// Reverse-mode differentiation over ggml graphs: each op emits ordinary ggml nodes and says how its gradient is emitted.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace moebius {

// A tensor of the graph, and whether a gradient of it is wanted.
struct train_value {
    ggml_tensor * tensor = nullptr;
    int32_t       id     = -1;  // of its tape; -1: a constant

    train_value() = default;
    explicit train_value(ggml_tensor * constant) : tensor(constant) {}
    train_value(ggml_tensor * tensor, int32_t id) : tensor(tensor), id(id) {}

    bool wanted() const { return id >= 0; }
};

// One graph, forward and backward. Nodes run in the order in which they are emitted, so that the memory of what is done is used again.
//
// Use: make inputs and variables, call ops (ops-*.h), add_gradient() to what comes out (the seeds), backward(), keep() what is to be read.
// Only what some variable's gradient needs is emitted. Gradients are F32, contiguous and of their value's shape.
class train_tape {
  public:
    // device: where the graph is to run. nodes_most: tensors of the graph, views and inputs included.
    train_tape(ggml_backend_dev_t device, size_t nodes_most);

    ggml_context * context() const { return memory.get(); }
    ggml_cgraph *  graph() const { return nodes; }

    // To be filled by the host before every computation: the graph may use its memory for something else afterwards.
    ggml_tensor * input(ggml_type type, int64_t n0, int64_t n1 = 1, int64_t n2 = 1);

    // A tensor whose gradient is wanted. F32, contiguous.
    train_value variable(ggml_tensor * tensor);

    // What ops call --------------------------------------------------------------------------------------------------

    // Given the gradient of the output, adds those of the inputs that are wanted.
    using pullback = std::function<void(ggml_tensor * gradient)>;
    // The same of several outputs; null for those without a gradient.
    using pullback_of_many = std::function<void(const std::vector<ggml_tensor *> & gradients)>;

    // The output as a value, wanted if one of the inputs is; else `back` is forgotten.
    train_value record(ggml_tensor * output, std::initializer_list<train_value> inputs, pullback back);
    std::vector<train_value> record(const std::vector<ggml_tensor *> & outputs, const std::vector<train_value> & inputs, pullback_of_many back);

    // Adds to what there is already. Nothing for a constant: ask wanted() before making a gradient.
    void add_gradient(const train_value & of, ggml_tensor * gradient);

    // cont(transpose(x)) of a matrix, once for all who ask.
    ggml_tensor * transposed(ggml_tensor * x);

    // Emits `node` after all that is emitted.
    ggml_tensor * emit(ggml_tensor * node);

    // Whether the device computes this node; it is not emitted.
    bool computes(const ggml_tensor * node) const { return ggml_backend_dev_supports_op(device, node); }

    // The device is the CPU, which computes nodes of our own, too.
    bool on_cpu() const { return ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU; }

    // What a node of our own needs lives as long as the tape.
    void own(std::shared_ptr<const void> what) { owned.push_back(std::move(what)); }

    // Of tensors in the device's memory, bytes.
    size_t alignment() const { return ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(device)); }

    // ----------------------------------------------------------------------------------------------------------------

    // Runs the pullbacks, last op first. Once.
    void backward();

    // F32, of the value's shape. Null: nothing that was seeded depends on it (or it is a constant); the gradient is zero then.
    ggml_tensor * gradient(const train_value & of) const;

    // Its memory is kept until the end of a computation, to be read then.
    ggml_tensor * keep(ggml_tensor * tensor);

  private:
    struct op {
        std::vector<int32_t> outputs;  // ids
        pullback_of_many     back;
    };

    ggml_backend_dev_t                                 device;
    ggml_context_ptr                                   memory;
    ggml_cgraph *                                      nodes;
    std::vector<op>                                    ops;
    std::vector<ggml_tensor *>                         values, gradients;  // [id]
    std::unordered_map<ggml_tensor *, ggml_tensor *>   transposes;
    std::vector<std::shared_ptr<const void>>           owned;
};

}  // namespace moebius
