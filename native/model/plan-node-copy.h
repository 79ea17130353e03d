// A node of another graph, copied with tensors of its own so that it can be run by itself.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>

#include <array>
#include <string>
#include <vector>

namespace moebius {

// Memory for all tensors of a context, cleared. Throws model.does-not-fit with need and have.
ggml_backend_buffer_ptr measuring_buffer(ggml_context * context, ggml_backend_buffer_type_t type);

struct node_graph {
    ggml_context_ptr                     context;
    std::vector<ggml_context_ptr>        streams;  // what passes by: weights, keys and values
    std::vector<ggml_backend_buffer_ptr> buffers;
    ggml_cgraph *                        graph = nullptr;
    int                                  count = 0;  // nodes, which differ in what passes by
};

class node_copy {
  public:
    // weights_type: null: the buffer types of the original's weights. working_set: bytes of weights that pass in turn, `room` at most.
    // context: tokens in the KV cache, the step's own the last of them. `node` outlives it.
    node_copy(const ggml_tensor * node, ggml_backend_buffer_type_t weights_type, double working_set, uint32_t context, double room);

    // Equal for nodes that take equally long, with the same room.
    std::string key() const;
    // The original takes so many times as long: a large one is copied in part.
    double      scale() const { return factor; }
    // Throws model.does-not-fit.
    node_graph  build(ggml_backend_t backend) const;

  private:
    using extents = std::array<int64_t, GGML_MAX_DIMS>;
    using inputs  = std::array<std::vector<ggml_tensor *>, GGML_MAX_SRC>;  // [sources][nodes, or what passes by in turn]

    void          cut(double room);
    bool          is_streamed(int source) const;
    double        streamed_bytes() const;
    ggml_tensor * copy_of(ggml_context * context, const ggml_tensor * original, const extents & ne) const;
    inputs        add_inputs(node_graph & made, ggml_backend_t backend) const;
    void          fill(const ggml_tensor * node) const;
    void          fill_ids(ggml_cgraph * graph) const;
    bool          has_own(int source) const;
    void          fill_mask(ggml_tensor * mask) const;

    const ggml_tensor *               node;
    ggml_backend_buffer_type_t        type;
    double                            factor = 1;
    int                               copies = 1;  // of what passes by
    int                               nodes  = 1;  // at least as many
    uint32_t                          context;
    std::array<extents, GGML_MAX_SRC> sources{};
    extents                           result{};
};

}  // namespace moebius
