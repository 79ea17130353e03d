#include "plan-graph.h"

#include "decode/context.h"
#include "experts/backend/graph-match.h"
#include "experts/plan/step-forecast.h"
#include "llama-open.h"
#include "model-parameters.h"

#include <llama-context.h>
#include <llama-model.h>

#include <cstdlib>
#include <cstring>

namespace moebius {

namespace {

// Of "<name>-<block>"; -1: no such name.
int32_t block_of_node(const char * name) {
    const char * dash = std::strrchr(name, '-');
    if (!dash || dash[1] < '0' || dash[1] > '9') {
        return -1;
    }
    char *     end   = nullptr;
    const long block = std::strtol(dash + 1, &end, 10);
    return (*end == 0 || *end == ' ') && block < 100000 ? int32_t(block) : -1;
}

bool node_is_empty(const ggml_tensor * node) {
    return node->op == GGML_OP_NONE || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_TRANSPOSE || node->op == GGML_OP_VIEW || node->op == GGML_OP_PERMUTE;
}

// The CPU backend computes the two as one.
bool is_fused_with_next(ggml_cgraph * graph, int index) {
    const ggml_tensor * node = ggml_graph_node(graph, index);
    if (node->op != GGML_OP_RMS_NORM || index + 1 >= ggml_graph_n_nodes(graph)) {
        return false;
    }
    const ggml_tensor * next = ggml_graph_node(graph, index + 1);
    return next->op == GGML_OP_MUL && (next->src[0] == node || next->src[1] == node);
}

const ggml_tensor * viewed_tensor(const ggml_tensor * tensor) {
    return tensor->view_src ? tensor->view_src : tensor;
}

double node_bytes(const ggml_tensor * node, const std::set<const ggml_tensor *> & weights) {
    const ggml_tensor * first = node->src[0];
    switch (node->op) {
        case GGML_OP_GET_ROWS:
            return double(ggml_nelements(node->src[1])) * double(first->nb[1]);
        case GGML_OP_MUL_MAT_ID:
            return double(first->nb[2]) * distinct_experts(double(first->ne[2]), double(node->src[2]->ne[0]), double(node->src[2]->ne[1]));
        case GGML_OP_FLASH_ATTN_EXT:
            return double(ggml_nbytes(node->src[1])) + double(ggml_nbytes(node->src[2]));
        default:
            break;
    }
    double sum = 0;
    for (const ggml_tensor * source : node->src) {
        sum += source && weights.count(viewed_tensor(source)) > 0 ? double(ggml_nbytes(source)) : 0.0;
    }
    // without flash attention keys and values are matrices of a product
    const bool on_cache = node->op == GGML_OP_MUL_MAT && first->view_src && sum == 0;
    return on_cache ? double(ggml_nelements(first)) * double(ggml_type_size(first->type)) / double(ggml_blck_size(first->type)) : sum;
}

double node_operations(const ggml_tensor * node) {
    switch (node->op) {
        case GGML_OP_MUL_MAT:
        case GGML_OP_MUL_MAT_ID:
            return 2.0 * double(ggml_nelements(node)) * double(node->src[0]->ne[0]);
        case GGML_OP_FLASH_ATTN_EXT:  // q [head, tokens, heads], k [head, cells, ...]
            return 4.0 * double(ggml_nelements(node->src[0])) * double(node->src[1]->ne[1]);
        default:
            return 0;
    }
}

// Experts that a store would hold lie in plain RAM, as the store's do.
struct plain_experts {
    std::string                       pattern;
    llama_model_tensor_buft_override overrides[2] = { { nullptr, nullptr }, { nullptr, nullptr } };
};

}  // namespace

size_t plan_blocks(const gguf_model & file) {
    return size_t(std::max<int64_t>(0, file.hparam("block_count", 0) - file.hparam("nextn_predict_layers", 0)));
}

planned_model::planned_model(const gguf_model & file, const json & about, const load_options & wanted, bool plain_wanted)
    : options(wanted), inspection(about), experts(expert_layout_usable(file, about)), block_count(plan_blocks(file)) {
    const llama_log_scope log(true);
    const bool            stored = (plain_wanted || options.expert_ram_bytes.value_or(0) > 0) && !experts.empty();
    options.devices.clear();
    options.tensor_split.clear();
    options.gpu_layers        = 0;
    options.cpu_expert_layers = 0;
    options.expert_ram_bytes  = 0;
    model_parameters parameters(options, inspection, nullptr);
    plain_experts    plain;
    if (stored) {
        plain.pattern                          = expert_layout_pattern(experts);
        plain.overrides[0]                     = { plain.pattern.c_str(), ggml_backend_cpu_buffer_type() };
        parameters.value.tensor_buft_overrides = plain.overrides;
    }
    parameters.value.no_alloc  = true;
    parameters.value.load_mode = LLAMA_LOAD_MODE_NONE;
    model                      = llama_open(file, parameters.value, log);
    parameters.value.tensor_buft_overrides = nullptr;
    whole                      = make_whole_experts(model.get(), file, inspection, options);
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model.get())) {
        weights.insert(tensor);
    }
}

planned_graph planned_model::graph(uint32_t tokens, uint32_t length) {
    const llama_log_scope log(true);
    options.context_length        = std::max(length, tokens);
    options.sequences             = 1;
    options.batch                 = tokens;
    context.reset();
    context.reset(llama_init_from_model(model.get(), decode_context_parameters(model.get(), options)));
    if (!context) {
        throw user_error("model.load-failed", "The model loads, but not with this context: " + log.first_error("llama.cpp gave no reason") + ".",
                         { { "contextLength", options.context_length } });
    }
    llama_memory_i *         memory = context->get_memory();
    llama_memory_context_ptr cells  = memory ? memory->init_full() : nullptr;
    ggml_cgraph *            graph  = context->graph_reserve(tokens, 1, 1, cells.get(), /*split_only=*/true);
    planned_graph            planned;
    planned.pieces              = uint32_t(ggml_backend_sched_get_n_splits(context->get_sched()));
    const auto ffns             = find_moe_ffns(graph);
    auto       next             = ffns.begin();
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        if (next != ffns.end() && i == next->first) {
            planned.fused.push_back({ next->down->layer, uint32_t(next->ids->ne[1]) });
            i = next->last;
            ++next;
            continue;
        }
        const ggml_tensor * node = ggml_graph_node(graph, i);
        if (node_is_empty(node)) {
            continue;
        }
        const bool experts_ffn = node->op == GGML_OP_MUL_MAT_ID;
        planned.items.push_back({ node, block_of_node(node->name), experts_ffn, node_bytes(node, weights), node_operations(node) });
        i += is_fused_with_next(graph, i) ? 1 : 0;
    }
    return planned;
}

}  // namespace moebius
