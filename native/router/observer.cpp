#include "observer.h"

#include <ggml-backend-impl.h>
#include <ggml.h>
#include <llama-context.h>  // llama_context::get_sched

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace moebius {

namespace {

// a sequence id that is never in a batch: ids of tokens are below LLAMA_MAX_SEQ
constexpr llama_seq_id hook_sequence = LLAMA_MAX_SEQ;

// the block index of "<prefix><index>", or -1
int32_t layer_of(const char * name, const char * prefix) {
    const size_t length = std::strlen(prefix);
    if (std::strncmp(name, prefix, length) != 0) {
        return -1;
    }
    char *     end   = nullptr;
    const long index = std::strtol(name + length, &end, 10);
    return end != name + length && *end == 0 && index >= 0 ? int32_t(index) : -1;
}

}  // namespace

struct router_observer::state {
    // one row of the shape in the graph that was built last; nullptr: that layer shows none
    struct row {
        ggml_tensor * ids     = nullptr;  // i32 [expert_used, tokens], often strided
        ggml_tensor * weights = nullptr;  // f32 [1, expert_used, tokens]
    };
    // where a row's values are copied to when they lie on a device
    struct staged {
        std::vector<char> ids, weights;
        size_t            ids_step = 0, weights_step = 0;  // bytes between the rows of two tokens
    };

    router_shape         shape;
    std::vector<int32_t> row_of_layer;  // block index -> row, -1: none
    std::vector<row>     rows;
    std::vector<staged>  staging;
    bool                 probing = false;  // the next apply counts nodes on an empty graph
    bool                 seen    = false;

    llama_sampler *          chain = nullptr;
    llama_sampler_seq_config config{};
    observed_routes          routes;

    void find_rows(ggml_cgraph * graph);
    void pin_rows(ggml_context * ctx, ggml_cgraph * graph);
    void reserve_nodes(ggml_context * ctx, ggml_cgraph * graph, ggml_tensor * any) const;
    void stage(llama_context * context);
    void gather(size_t index, uint32_t token_count, const std::vector<uint32_t> & outputs);
};

namespace {

router_observer::state * state_of(llama_sampler * sampler);

// Keeps the memory of `tensor` until the graph has ended.
ggml_tensor * pin(ggml_context * ctx, ggml_cgraph * graph, ggml_tensor * tensor) {
    ggml_tensor * view = ggml_view_3d(ctx, tensor, tensor->ne[0], tensor->ne[1], tensor->ne[2], tensor->nb[1], tensor->nb[2], 0);
    ggml_format_name(view, "observed %.48s", tensor->name);
    ggml_build_forward_expand(graph, view);
    return view;
}

}  // namespace

void router_observer::state::find_rows(ggml_cgraph * graph) {
    std::fill(rows.begin(), rows.end(), row{});
    const int count = ggml_graph_n_nodes(graph);
    for (int i = 0; i < count; ++i) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        if (std::strncmp(node->name, "ffn_moe_", 8) != 0) {
            continue;
        }
        const int32_t top   = layer_of(node->name, "ffn_moe_topk-");
        const int32_t layer = top >= 0 ? top : layer_of(node->name, "ffn_moe_weighted-");
        if (layer < 0 || size_t(layer) >= row_of_layer.size() || row_of_layer[layer] < 0) {
            continue;
        }
        // a layer with a second group of experts repeats the names: the first are the routed ones
        row & found = rows[row_of_layer[layer]];
        if (top >= 0 && !found.ids && node->type == GGML_TYPE_I32) {
            found.ids = node;
        } else if (top < 0 && !found.weights && node->src[1] && node->src[1]->type == GGML_TYPE_F32) {
            found.weights = node->src[1];  // experts * weights: whatever normalisation and scaling made of them
        }
    }
}

void router_observer::state::pin_rows(ggml_context * ctx, ggml_cgraph * graph) {
    for (row & r : rows) {
        if (!r.ids || !r.weights || r.ids->ne[0] > shape.expert_used_count || r.weights->ne[1] != r.ids->ne[0] ||
            r.weights->ne[2] != r.ids->ne[1]) {
            r = {};
            continue;
        }
        r.ids     = pin(ctx, graph, r.ids);
        r.weights = pin(ctx, graph, r.weights);
        seen      = true;
    }
}

// llama.cpp learns from one call on an empty graph how many nodes the hook adds at most.
void router_observer::state::reserve_nodes(ggml_context * ctx, ggml_cgraph * graph, ggml_tensor * any) const {
    for (size_t i = 0; i < 2 * rows.size(); ++i) {
        pin(ctx, graph, any);
    }
}

// Copies what lies on devices to the host: all copies at once, one wait. A device that cannot leave out what lies between two rows gives that, too: to
// ask for each row takes longer.
void router_observer::state::stage(llama_context * context) {
    ggml_backend_sched_t sched   = nullptr;
    bool                 waiting = false;
    const auto fetch = [&](ggml_tensor * tensor, std::vector<char> & into, size_t row_bytes, size_t row_count, size_t stride) {
        sched                  = context->get_sched();
        ggml_backend_t backend = ggml_backend_sched_get_tensor_backend(sched, tensor);
        const bool     by_rows = backend && backend->iface.get_tensor_2d_async;
        const size_t   step    = by_rows ? row_bytes : stride;
        into.resize(step * (row_count - 1) + row_bytes);
        if (by_rows) {
            ggml_backend_tensor_get_2d_async(backend, tensor, into.data(), 0, row_bytes, row_count, stride, row_bytes);
        } else if (backend) {
            ggml_backend_tensor_get_async(backend, tensor, into.data(), 0, into.size());
        } else {
            ggml_backend_tensor_get(tensor, into.data(), 0, into.size());
        }
        waiting |= backend != nullptr;
        return step;
    };
    for (size_t i = 0; i < rows.size(); ++i) {
        const row & r = rows[i];
        if (!r.ids || r.ids->ne[1] == 0) {
            continue;
        }
        const size_t used = size_t(r.ids->ne[0]), tokens = size_t(r.ids->ne[1]);
        if (!ggml_backend_buffer_is_host(r.ids->buffer)) {
            staging[i].ids_step = fetch(r.ids, staging[i].ids, used * sizeof(int32_t), tokens, r.ids->nb[1]);
        }
        if (!ggml_backend_buffer_is_host(r.weights->buffer)) {
            staging[i].weights_step = fetch(r.weights, staging[i].weights, used * sizeof(float), tokens, r.weights->nb[2]);
        }
    }
    if (waiting) {
        ggml_backend_sched_synchronize(sched);
    }
}

// One row of the graph into [token][row][k]. The last layer is often evaluated for output tokens only.
void router_observer::state::gather(size_t index, uint32_t token_count, const std::vector<uint32_t> & outputs) {
    const row & r = rows[index];
    if (!r.ids) {
        return;
    }
    const size_t evaluated = size_t(r.ids->ne[1]);
    const bool   all       = evaluated == token_count;
    if (!all && evaluated != outputs.size()) {
        return;
    }
    const size_t used          = size_t(r.ids->ne[0]);
    const bool   ids_here      = ggml_backend_buffer_is_host(r.ids->buffer);
    const bool   weights_here  = ggml_backend_buffer_is_host(r.weights->buffer);
    const void * ids           = ids_here ? r.ids->data : staging[index].ids.data();
    const void * weights       = weights_here ? r.weights->data : staging[index].weights.data();
    const size_t ids_step      = ids_here ? r.ids->nb[1] : staging[index].ids_step;
    const size_t weights_step  = weights_here ? r.weights->nb[2] : staging[index].weights_step;
    const size_t weight_stride = weights_here ? r.weights->nb[1] : sizeof(float);
    const size_t token_stride  = size_t(shape.layer_count()) * routes.used_max;
    for (size_t t = 0; t < evaluated; ++t) {
        const size_t token       = all ? t : outputs[t];
        uint16_t *   to_experts  = routes.experts.data() + token * token_stride + index * routes.used_max;
        float *      to_weights  = routes.weights.data() + token * token_stride + index * routes.used_max;
        const auto * from        = reinterpret_cast<const int32_t *>(static_cast<const char *>(ids) + t * ids_step);
        const char * from_weight = static_cast<const char *>(weights) + t * weights_step;
        for (size_t k = 0; k < used; ++k) {
            if (uint32_t(from[k]) < shape.expert_count) {
                to_experts[k] = uint16_t(from[k]);
                to_weights[k] = *reinterpret_cast<const float *>(from_weight + k * weight_stride);
            }
        }
    }
}

namespace {

const char * hook_name(const llama_sampler *) {
    return "router-observer";
}

void hook_sample(llama_sampler *, llama_token_data_array *) {}

bool hook_init(llama_sampler * sampler, ggml_backend_buffer_type_t, uint32_t) {
    state_of(sampler)->probing = true;
    return true;
}

void hook_apply(llama_sampler * sampler, ggml_context * ctx, ggml_cgraph * graph, llama_sampler_data * data) {
    router_observer::state * state = state_of(sampler);
    if (state->probing) {
        state->probing = false;
        state->reserve_nodes(ctx, graph, data->logits);
        return;
    }
    state->find_rows(graph);
    state->pin_rows(ctx, graph);
    data->logits = nullptr;  // nothing is sampled here: keeps llama.cpp from adding a padded copy of the logits
}

llama_sampler_i hook_interface() {
    llama_sampler_i hook{};
    hook.name          = hook_name;
    hook.apply         = hook_sample;
    hook.backend_init  = hook_init;
    hook.backend_apply = hook_apply;
    return hook;
}

llama_sampler_i hook = hook_interface();

router_observer::state * state_of(llama_sampler * sampler) {
    return static_cast<router_observer::state *>(sampler->ctx);
}

}  // namespace

router_observer::router_observer(router_shape shape) : self(std::make_unique<state>()) {
    self->shape = std::move(shape);
    const auto & layers = self->shape.layers;
    self->row_of_layer.assign(layers.empty() ? 0 : size_t(layers.back()) + 1, -1);
    for (size_t i = 0; i < layers.size(); ++i) {
        self->row_of_layer[layers[i]] = int32_t(i);
    }
    self->rows.resize(layers.size());
    self->staging.resize(layers.size());
    self->chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(self->chain, llama_sampler_init(&hook, self.get()));
    self->config = { hook_sequence, self->chain };
}

router_observer::~router_observer() {
    llama_sampler_free(self->chain);
}

void router_observer::attach(llama_context_params & parameters) {
    parameters.samplers   = &self->config;
    parameters.n_samplers = 1;
}

bool router_observer::sees_router() const {
    return self->seen;
}

const router_shape & router_observer::shape() const {
    return self->shape;
}

const observed_routes & router_observer::read(llama_context * context, uint32_t token_count, const std::vector<uint32_t> & outputs) {
    llama_synchronize(context);
    observed_routes & routes = self->routes;
    routes.tokens            = token_count;
    routes.used_max          = self->shape.expert_used_count;
    const size_t cells       = size_t(token_count) * self->shape.layer_count() * routes.used_max;
    routes.experts.assign(cells, observed_routes::not_computed);
    routes.weights.assign(cells, 0.0f);
    self->stage(context);
    for (size_t i = 0; i < self->rows.size(); ++i) {
        self->gather(i, token_count, outputs);
    }
    return routes;
}

}  // namespace moebius
