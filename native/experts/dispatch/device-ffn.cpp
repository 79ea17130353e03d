#include "device-ffn.h"

#include "remote/link.h"

#include <algorithm>
#include <cstring>

namespace moebius {

namespace {

constexpr int64_t assignments_most = 4096;  // of a graph: bounds its memory

size_t graph_bytes() {
    constexpr size_t tensors = 1024;
    return tensors * ggml_tensor_overhead() + ggml_graph_overhead_custom(tensors, false);
}

ggml_context_ptr graph_context(void * memory = nullptr) {
    return ggml_context_ptr(ggml_init({ graph_bytes(), memory, true }));
}

ggml_tensor * graph_input(ggml_context * context, ggml_type type, int64_t n0, int64_t n1, int64_t n2 = 1) {
    ggml_tensor * tensor = ggml_new_tensor_3d(context, type, n0, n1, n2);
    ggml_set_input(tensor);
    return tensor;
}

// The sum of `count` terms, in order.
template <typename Term> ggml_tensor * sum_of(ggml_context * context, int64_t count, Term && term) {
    ggml_tensor * sum = term(0);
    for (int64_t i = 1; i < count; i++) {
        sum = ggml_add(context, sum, term(i));
    }
    return sum;
}

// down(swiglu(gate x, up x)); x: [n_embd, 1, columns], ids: [per column, columns] -> [n_embd, per column, columns]
ggml_tensor * experts_of(ggml_context * context, const std::vector<ggml_tensor *> & parts, bool fused, ggml_tensor * x, ggml_tensor * ids) {
    ggml_tensor * gate   = ggml_mul_mat_id(context, parts[0], x, ids);
    ggml_tensor * hidden = fused ? ggml_swiglu(context, gate) : ggml_swiglu_split(context, gate, ggml_mul_mat_id(context, parts[1], x, ids));
    return ggml_mul_mat_id(context, parts.back(), hidden, ids);
}

// Matrices that take no memory, for graphs that are only measured.
std::vector<ggml_tensor *> stand_ins(ggml_context * context, const expert_layer & layer, uint32_t experts) {
    static char                somewhere[64];
    std::vector<ggml_tensor *> parts;
    for (const expert_part & part : layer.parts) {
        parts.push_back(ggml_new_tensor_3d(context, part.type, part.n_in, part.n_out, experts));
        parts.back()->data = somewhere;  // allocated, as far as the allocator can see
    }
    return parts;
}

}  // namespace

bool device_ffn::supports(ggml_backend_dev_t device, const expert_layout & layout) {
    return std::all_of(layout.layers.begin(), layout.layers.end(), [&](const expert_layer & layer) {
        const ggml_context_ptr context = graph_context();
        const auto             parts   = stand_ins(context.get(), layer, layout.experts);
        const graph_tensors    tensors = build(context.get(), parts, layer.parts[0].matrix == expert_matrix::gate_up, { 2, 3, 2 });
        bool                   all     = true;
        for (int i = 0; i < ggml_graph_n_nodes(tensors.graph); i++) {
            all = all && ggml_backend_dev_supports_op(device, ggml_graph_node(tensors.graph, i));
        }
        return all;
    });
}

device_ffn::graph_tensors device_ffn::build(ggml_context * context, const std::vector<ggml_tensor *> & parts, bool fused, const graph_shape & shape) {
    graph_tensors made;
    const int64_t n_embd = parts[0]->ne[0];
    made.graph           = ggml_new_graph_custom(context, 1024, false);
    made.input           = graph_input(context, GGML_TYPE_F32, n_embd, shape.tokens);
    if (shape.even()) {
        made.ids              = graph_input(context, GGML_TYPE_I32, shape.most, shape.tokens);
        made.weights          = graph_input(context, GGML_TYPE_F32, 1, shape.most, shape.tokens);
        ggml_tensor * x       = ggml_reshape_3d(context, made.input, n_embd, 1, shape.tokens);
        ggml_tensor * weighed = ggml_mul(context, experts_of(context, parts, fused, x, made.ids), made.weights);
        made.output           = sum_of(context, shape.most, [&](int64_t i) {
            return ggml_view_2d(context, weighed, n_embd, shape.tokens, weighed->nb[2], size_t(i) * weighed->nb[1]);
        });
        if (shape.most == 1) {
            made.output = ggml_cont(context, made.output);
        }
    } else {
        made.columns    = graph_input(context, GGML_TYPE_I32, shape.assignments, 1);
        made.ids        = graph_input(context, GGML_TYPE_I32, 1, shape.assignments);
        made.ranks      = graph_input(context, GGML_TYPE_I32, shape.tokens, shape.most);
        made.weights    = graph_input(context, GGML_TYPE_F32, 1, shape.tokens, shape.most);
        ggml_tensor * x = ggml_reshape_3d(context, ggml_get_rows(context, made.input, made.columns), n_embd, 1, shape.assignments);
        ggml_tensor * y = ggml_reshape_2d(context, experts_of(context, parts, fused, x, made.ids), n_embd, shape.assignments);
        made.output     = sum_of(context, shape.most, [&](int64_t i) {
            ggml_tensor * which  = ggml_view_1d(context, made.ranks, shape.tokens, size_t(i) * made.ranks->nb[1]);
            ggml_tensor * weight = ggml_view_2d(context, made.weights, 1, shape.tokens, made.weights->nb[1], size_t(i) * made.weights->nb[2]);
            return ggml_mul(context, ggml_get_rows(context, y, which), weight);
        });
    }
    ggml_set_output(made.output);
    ggml_build_forward_expand(made.graph, made.output);
    return made;
}

device_ffn::graph_shape device_ffn::largest(const expert_layout & layout, uint32_t tokens, bool even) {
    const int64_t used = layout.used;
    const int64_t most = std::clamp<int64_t>(assignments_most / used, 1, tokens);
    return { most, most * used - (even || most * used == 1 ? 0 : 1), used };
}

void device_ffn::each_reserved(const expert_layout & layout, uint32_t tokens, const std::function<void(ggml_cgraph *)> & reserve) {
    for (const expert_layer & layer : layout.layers) {
        for (const bool even : { true, false }) {
            const ggml_context_ptr context = graph_context();
            const auto             parts   = stand_ins(context.get(), layer, layout.experts);
            reserve(build(context.get(), parts, layer.parts[0].matrix == expert_matrix::gate_up, largest(layout, tokens, even)).graph);
        }
    }
}

uint64_t device_ffn::scratch_bytes(ggml_backend_dev_t device, const expert_layout & layout, uint32_t tokens) {
    uint64_t most = 0;
    each_reserved(layout, tokens, [&](ggml_cgraph * graph) {
        const ggml_gallocr_ptr measured(ggml_gallocr_new(ggml_backend_dev_buffer_type(device)));
        size_t                 bytes = 0;
        ggml_gallocr_reserve_n_size(measured.get(), graph, nullptr, nullptr, &bytes);
        most = std::max<uint64_t>(most, bytes);
    });
    return most;
}

device_ffn::device_ffn(device_slots & of, const expert_layout & all, uint32_t tokens)
    : batch(of.device()),
      slots(of),
      layout(all),
      backend(ggml_backend_dev_init(of.device(), nullptr)),
      allocator(ggml_gallocr_new(ggml_backend_dev_buffer_type(of.device()))),
      ended(remote_link_of(of.device()) ? ggml_backend_event_new(of.device()) : nullptr),
      graph_memory(graph_bytes()),
      inputs(of.device()) {
    bool enough = backend != nullptr;
    each_reserved(layout, tokens, [&](ggml_cgraph * graph) { enough = enough && ggml_gallocr_reserve(allocator.get(), graph); });
    if (!enough) {
        const uint64_t need = scratch_bytes(slots.device(), layout, tokens);
        throw user_error("model.does-not-fit",
                         slots.id() + " has no room for what experts compute with there: " + std::to_string(need) + " bytes. Give experts less memory there (expertDeviceBytes).",
                         { { "need", need }, { "device", slots.id() } });
    }
}

bool device_ffn::is_fused(uint32_t of) const {
    return layout.layers[of].parts[0].matrix == expert_matrix::gate_up;
}

bool device_ffn::start(uint32_t of, row_view input, std::vector<device_assignment> work) {
    layer = of;
    batch.gather(input, size_t(layout.layers[layer].parts[0].n_in), std::move(work));
    first = last = 0;
    take_chunk();
    return started = launch();
}

// As many tokens as a graph can take, one at least.
void device_ffn::take_chunk() {
    first = last;
    while (last < batch.tokens() && (last == first || int64_t(batch.begin_of(last + 1) - batch.begin_of(first)) <= assignments_most)) {
        last++;
    }
}

device_ffn::graph_shape device_ffn::chunk_shape() const {
    graph_shape shape;
    shape.tokens      = int64_t(last - first);
    shape.assignments = int64_t(batch.begin_of(last) - batch.begin_of(first));
    for (size_t t = first; t < last; t++) {
        shape.most = std::max(shape.most, int64_t(batch.begin_of(t + 1) - batch.begin_of(t)));
    }
    return shape;
}

void device_ffn::fill_inputs(const graph_shape & shape) {
    const std::vector<device_assignment> & work = batch.work();
    inputs.ids.resize(size_t(shape.assignments));
    for (size_t i = batch.begin_of(first); i < batch.begin_of(last); i++) {
        inputs.ids.data()[i - batch.begin_of(first)] = int32_t(work[i].slot);
    }
    if (shape.even()) {
        inputs.weights.resize(size_t(shape.assignments));
        for (size_t i = batch.begin_of(first); i < batch.begin_of(last); i++) {
            inputs.weights.data()[i - batch.begin_of(first)] = work[i].weight;
        }
        return;
    }
    inputs.columns.resize(size_t(shape.assignments));
    inputs.ranks.resize(size_t(shape.tokens * shape.most));
    inputs.weights.resize(inputs.ranks.size());
    for (size_t t = first; t < last; t++) {
        std::fill(inputs.columns.data() + batch.begin_of(t) - batch.begin_of(first), inputs.columns.data() + batch.begin_of(t + 1) - batch.begin_of(first), int32_t(t - first));
    }
    size_t at = 0;
    for (int64_t rank = 0; rank < shape.most; rank++) {
        for (size_t t = first; t < last; t++, at++) {
            const bool   there        = batch.begin_of(t) + size_t(rank) < batch.begin_of(t + 1);
            const size_t which        = batch.begin_of(t) + (there ? size_t(rank) : 0);
            inputs.ranks.data()[at]   = int32_t(which - batch.begin_of(first));
            inputs.weights.data()[at] = there ? work[which].weight : 0.0f;
        }
    }
}

bool device_ffn::launch() {
    const graph_shape          shape = chunk_shape();
    std::vector<ggml_tensor *> parts;
    for (uint32_t p = 0; p < layout.layers[layer].parts.size(); p++) {
        parts.push_back(slots.matrix(layer, p));
    }
    fill_inputs(shape);
    context = graph_context(graph_memory.data());
    running = build(context.get(), parts, is_fused(layer), shape);
    const device_slots::use driver(slots);
    if (!ggml_gallocr_alloc_graph(allocator.get(), running.graph)) {
        return false;
    }
    const auto set = [&](ggml_tensor * tensor, const void * data) {
        if (tensor) {
            ggml_backend_tensor_set_async(backend.get(), tensor, data, 0, ggml_nbytes(tensor));
        }
    };
    set(running.input, batch.input().row(int64_t(first)));
    set(running.ids, inputs.ids.data());
    set(running.weights, inputs.weights.data());
    set(running.columns, inputs.columns.data());
    set(running.ranks, inputs.ranks.data());
    if (ggml_backend_graph_compute_async(backend.get(), running.graph) != GGML_STATUS_SUCCESS) {
        return false;
    }
    // asked for now, the sums come by themselves
    ggml_backend_tensor_get_async(backend.get(), running.output, batch.output().row(int64_t(first)), 0, ggml_nbytes(running.output));
    if (ended) {
        ggml_backend_event_record(ended.get(), backend.get());
    }
    return true;
}

bool device_ffn::wait() {
    while (started) {
        ended ? ggml_backend_event_synchronize(ended.get()) : ggml_backend_synchronize(backend.get());
        if (is_lost(remote_link_of(slots.device()))) {
            return false;
        }
        if (last == batch.tokens()) {
            return true;
        }
        take_chunk();
        started = launch();
    }
    return false;
}

}  // namespace moebius
