#include "plan-node-copy.h"

#include "devices.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace moebius {

namespace {

constexpr double  node_operations_most = 2e9;    // of a node that is measured
constexpr int     copies_most     = 256;
constexpr int     plain_copies    = 16;     // of a node through which nothing passes
constexpr int64_t columns_least   = 32;
constexpr int64_t cells_unit      = 256;

double tensor_bytes(ggml_type type, const std::array<int64_t, GGML_MAX_DIMS> & ne) {
    return double(ggml_row_size(type, ne[0])) * double(ne[1]) * double(ne[2]) * double(ne[3]);
}

std::vector<float> random_values(int64_t count) {
    std::minstd_rand                      random(7);
    std::uniform_real_distribution<float> spread(-1, 1);
    std::vector<float>                    values(static_cast<size_t>(count));
    std::generate(values.begin(), values.end(), [&] { return spread(random); });
    return values;
}

// ids [used, tokens]: different experts for every token, all equally often.
std::vector<int32_t> random_ids(int64_t used, int64_t tokens, int64_t experts, uint32_t seed) {
    std::minstd_rand     random(seed);
    std::vector<int32_t> all(static_cast<size_t>(experts)), ids;
    for (int64_t e = 0; e < experts; e++) {
        all[size_t(e)] = int32_t(e);
    }
    for (int64_t t = 0; t < tokens; t++) {
        std::shuffle(all.begin(), all.end(), random);
        ids.insert(ids.end(), all.begin(), all.begin() + ptrdiff_t(used));
    }
    return ids;
}

template <typename T> void set_counting(ggml_tensor * tensor, int64_t below) {
    std::vector<T> values(static_cast<size_t>(ggml_nelements(tensor)));
    for (size_t i = 0; i < values.size(); i++) {
        values[i] = T(int64_t(i) % std::max<int64_t>(1, below));
    }
    ggml_backend_tensor_set(tensor, values.data(), 0, values.size() * sizeof(T));
}

}  // namespace

ggml_backend_buffer_ptr measuring_buffer(ggml_context * context, ggml_backend_buffer_type_t type) {
    ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors_from_buft(context, type));
    if (!buffer) {
        const uint64_t           need   = ggml_backend_alloc_ctx_tensors_from_buft_size(context, type);
        const ggml_backend_dev_t device = ggml_backend_buft_get_device(type);
        const uint64_t           have   = device ? device_memory_now(device).free : 0;
        const std::string        id     = device ? ggml_backend_dev_name(device) : ggml_backend_buft_name(type);
        throw user_error("model.does-not-fit",
                         id + " has no room for measuring how fast it is: " + std::to_string(need) + " bytes are needed, " + std::to_string(have) + " are free. Unload a model that uses it.",
                         { { "need", need }, { "have", have }, { "device", id } });
    }
    ggml_backend_buffer_clear(buffer.get(), 0);
    return buffer;
}

node_copy::node_copy(const ggml_tensor * original, ggml_backend_buffer_type_t weights_type, double working_set, uint32_t length, double room)
    : node(original), type(weights_type), context(length) {
    std::copy_n(node->ne, GGML_MAX_DIMS, result.begin());
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        if (node->src[i]) {
            std::copy_n(node->src[i]->ne, GGML_MAX_DIMS, sources[size_t(i)].begin());
        }
    }
    cut(room);
    const double bytes = streamed_bytes();
    copies             = bytes > 0 ? std::clamp(int(std::min(working_set, room) / bytes), 1, copies_most) : plain_copies;
    if (node->op == GGML_OP_MUL_MAT_ID) {
        copies = std::clamp(int(room / bytes), 1, copies_most);
    }
    const bool long_one = double(ggml_nelements(node)) > 1e5;
    copies             = bytes == 0 && long_one ? 3 : copies;
    const double work  = 2.0 * double(ggml_nelements(node)) * double(sources[0][0]) / factor;
    copies             = work > 1e8 ? std::min(copies, std::max(1, int(2 * node_operations_most / work))) : copies;
    if (type) {  // every copy has its own result in the device's memory
        copies = std::min(copies, std::max(1, int(room / std::max(1.0, tensor_bytes(node->type, result)))));
    }
    nodes = copies;
    if (node->op == GGML_OP_MUL_MAT_ID && result[2] == 1) {  // a token uses little of a stack, and the next one something else
        nodes = std::min(copies_most, copies * std::max(1, int(sources[0][2] / sources[2][0])));
    }
}

// Makes a copy of what would take long: fewer columns, fewer cells of the cache, fewer experts and with them tokens.
void node_copy::cut(double room) {
    const double work = 2.0 * double(ggml_nelements(node)) * double(sources[0][0]);
    if (node->op == GGML_OP_MUL_MAT && work > node_operations_most && result[1] > columns_least && result[2] == 1 && result[3] == 1) {
        const int64_t columns = std::max(columns_least, int64_t(double(result[1]) * node_operations_most / work));
        factor                = double(result[1]) / double(columns);
        result[1] = sources[1][1] = columns;
    } else if (node->op == GGML_OP_MUL_MAT_ID) {
        const int64_t all = sources[0][2], used = sources[2][0], tokens = sources[2][1];
        const double  part    = std::min({ 1.0, room / tensor_bytes(node->src[0]->type, sources[0]), node_operations_most / work });
        const int64_t experts = std::clamp(int64_t(double(all) * part), used, all);
        const int64_t fewer   = std::clamp<int64_t>(tokens * experts / all, 1, tokens);
        factor                = double(tokens) / double(fewer);
        sources[0][2]         = experts;
        result[2] = sources[1][2] = sources[2][1] = fewer;
    } else if (node->op == GGML_OP_FLASH_ATTN_EXT) {
        const double  products = 4.0 * double(ggml_nelements(node->src[0])) * double(sources[1][1]);
        const int64_t cells    = sources[1][1];
        const int64_t fewer    = std::min(cells, std::max<int64_t>(cells_unit, int64_t(double(cells) * node_operations_most / products) / cells_unit * cells_unit));
        factor                 = double(cells) / double(fewer);
        sources[1][1] = sources[2][1] = fewer;
        if (node->src[3]) {
            sources[3][0] = fewer;
        }
    }
}

bool node_copy::is_streamed(int i) const {
    const ggml_tensor * source = node->src[i];
    if (node->op == GGML_OP_FLASH_ATTN_EXT) {
        return source && (i == 1 || i == 2);
    }
    const bool product = node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID;
    const bool weights = source && source->op == GGML_OP_NONE && (source->buffer || node->op == GGML_OP_MUL_MAT_ID) && !(source->flags & GGML_TENSOR_FLAG_INPUT);
    return product && i == 0 && weights;
}

bool node_copy::has_own(int i) const {
    return node->op == GGML_OP_MUL_MAT_ID && i == 2;
}

double node_copy::streamed_bytes() const {
    double sum = 0;
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        sum += is_streamed(i) ? tensor_bytes(node->src[i]->type, sources[size_t(i)]) : 0.0;
    }
    return sum;
}

std::string node_copy::key() const {
    std::string text = std::string(ggml_op_desc(node)) + " x" + std::to_string(nodes);
    const auto  add  = [&](const ggml_tensor * tensor, const extents & ne) {
        text += std::string(" ") + ggml_type_name(tensor->type);
        for (const int64_t n : ne) {
            text += "," + std::to_string(n);
        }
        text += ggml_is_contiguous(tensor) ? "" : "s" + std::to_string(tensor->nb[1]) + "," + std::to_string(tensor->nb[2]);
    };
    add(node, result);
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        if (node->src[i]) {
            add(node->src[i], sources[size_t(i)]);
            text += is_streamed(i) && node->src[i]->buffer ? std::string("@") + ggml_backend_buft_name(ggml_backend_buffer_get_type(node->src[i]->buffer)) : "";
        }
    }
    return text + (node->op == GGML_OP_FLASH_ATTN_EXT ? " of " + std::to_string(context) : "");
}

ggml_tensor * node_copy::copy_of(ggml_context * context, const ggml_tensor * original, const extents & ne) const {
    ggml_tensor * copy = ggml_new_tensor(context, original->type, GGML_MAX_DIMS, ne.data());
    if (!ggml_is_contiguous(original)) {
        std::copy_n(original->nb, GGML_MAX_DIMS, copy->nb);
    }
    return copy;
}

node_copy::inputs node_copy::add_inputs(node_graph & made, ggml_backend_t backend) const {
    inputs all;
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        if (!node->src[i]) {
            continue;
        }
        if (!is_streamed(i)) {
            for (int c = 0; c < nodes; c++) {
                const bool shared = c > 0 && !has_own(i);
                all[size_t(i)].push_back(shared ? all[size_t(i)].front() : copy_of(made.context.get(), node->src[i], sources[size_t(i)]));
            }
            continue;
        }
        made.streams.emplace_back(ggml_init({ size_t(copies) * ggml_tensor_overhead(), nullptr, true }));
        for (int c = 0; c < copies; c++) {
            all[size_t(i)].push_back(copy_of(made.streams.back().get(), node->src[i], sources[size_t(i)]));
        }
        const bool weight = node->src[i]->buffer && node->op != GGML_OP_FLASH_ATTN_EXT;
        ggml_backend_buffer_type_t where = type ? type : weight ? ggml_backend_buffer_get_type(node->src[i]->buffer) : ggml_backend_get_default_buffer_type(backend);
        made.buffers.push_back(measuring_buffer(made.streams.back().get(), where));
    }
    return all;
}

node_graph node_copy::build(ggml_backend_t backend) const {
    const size_t count = size_t(nodes);
    node_graph   made;
    made.count = nodes;
    made.context.reset(ggml_init({ (GGML_MAX_SRC + 2 * count) * ggml_tensor_overhead() + ggml_graph_overhead_custom(count, false), nullptr, true }));
    made.graph       = ggml_new_graph_custom(made.context.get(), count, false);
    const inputs all = add_inputs(made, backend);
    for (int c = 0; c < nodes; c++) {
        ggml_tensor * copy = copy_of(made.context.get(), node, result);
        copy->op           = node->op;
        copy->flags        = GGML_TENSOR_FLAG_COMPUTE;
        std::memcpy(copy->op_params, node->op_params, sizeof(node->op_params));
        for (int i = 0; i < GGML_MAX_SRC; i++) {
            copy->src[i] = node->src[i] ? all[size_t(i)][size_t(c) % all[size_t(i)].size()] : nullptr;
        }
        ggml_graph_add_node(made.graph, copy);
    }
    made.buffers.push_back(measuring_buffer(made.context.get(), ggml_backend_get_default_buffer_type(backend)));
    fill(ggml_graph_node(made.graph, 0));
    fill_ids(made.graph);
    return made;
}

// mask [cells, tokens]: a token sees those before it. Cells that nobody sees cost next to nothing.
void node_copy::fill_mask(ggml_tensor * mask) const {
    const ggml_fp16_t        open = ggml_fp32_to_fp16(0.0f), closed = ggml_fp32_to_fp16(-INFINITY);
    std::vector<ggml_fp16_t> values(static_cast<size_t>(ggml_nelements(mask)), closed);
    const double             part   = double(mask->ne[0]) / double(node->src[3]->ne[0]);  // of the cells, when it was cut
    const int64_t            tokens = node->src[0]->ne[1];
    for (int64_t t = 0; t < mask->ne[1]; t++) {
        const int64_t seen = int64_t(part * double(std::max<int64_t>(1, int64_t(context) - tokens + 1 + t)));
        std::fill_n(values.begin() + t * mask->ne[0], std::clamp<int64_t>(seen, 1, mask->ne[0]), open);
    }
    ggml_backend_tensor_set(mask, values.data(), 0, values.size() * sizeof(ggml_fp16_t));
}

// Values that the operation takes: indices that exist, numbers that are none of the special ones.
void node_copy::fill(const ggml_tensor * copy) const {
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        ggml_tensor * source = copy->src[i];
        if (!source || is_streamed(i) || !ggml_is_contiguous(source)) {
            continue;
        }
        if (source->type == GGML_TYPE_F32) {
            const std::vector<float> values = random_values(ggml_nelements(source));
            ggml_backend_tensor_set(source, values.data(), 0, values.size() * sizeof(float));
        } else if (source->type == GGML_TYPE_I32 && copy->op == GGML_OP_GET_ROWS) {
            set_counting<int32_t>(source, copy->src[0]->ne[1]);
        } else if (source->type == GGML_TYPE_I64 && copy->op == GGML_OP_SET_ROWS) {
            set_counting<int64_t>(source, copy->ne[1]);
        }
    }
    if (copy->op == GGML_OP_FLASH_ATTN_EXT && copy->src[3] && copy->src[3]->type == GGML_TYPE_F16) {
        fill_mask(copy->src[3]);
    }
}

// A single token takes of its stack what no other node takes.
void node_copy::fill_ids(ggml_cgraph * graph) const {
    for (int n = 0; n < nodes && node->op == GGML_OP_MUL_MAT_ID; n++) {
        ggml_tensor *        ids     = ggml_graph_node(graph, n)->src[2];
        const int64_t        experts = sources[0][2];
        std::vector<int32_t> values  = random_ids(ids->ne[0], ids->ne[1], experts, uint32_t(n) + 1);
        for (int64_t k = 0; k < ids->ne[0] && ids->ne[1] == 1; k++) {
            values[size_t(k)] = int32_t((n / copies * ids->ne[0] + k) % experts);
        }
        for (int64_t t = 0; t < ids->ne[1]; t++) {
            ggml_backend_tensor_set(ids, values.data() + t * ids->ne[0], size_t(t) * ids->nb[1], size_t(ids->ne[0]) * sizeof(int32_t));
        }
    }
}

}  // namespace moebius
