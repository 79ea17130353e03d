#include "expert-layout.h"

#include "file-reader.h"
#include "router/shape.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

const char * matrix_name(expert_matrix matrix) {
    switch (matrix) {
        case expert_matrix::gate: return "ffn_gate_exps";
        case expert_matrix::up: return "ffn_up_exps";
        case expert_matrix::gate_up: return "ffn_gate_up_exps";
        default: return "ffn_down_exps";
    }
}

std::string tensor_name(int32_t block, expert_matrix matrix) {
    return "blk." + std::to_string(block) + "." + matrix_name(matrix) + ".weight";
}

// Empty when the layer has another shape.
std::vector<expert_part> parts_of_block(const gguf_model & file, int32_t block, uint32_t experts) {
    const auto find = [&](expert_matrix matrix, std::vector<expert_part> & parts) {
        const gguf_tensor * tensor = file.find_tensor(tensor_name(block, matrix));
        if (!tensor || tensor->ne[2] != int64_t(experts) || tensor->ne[3] != 1) {
            return false;
        }
        parts.push_back({ matrix, tensor->type, tensor->ne[0], tensor->ne[1], tensor->file, tensor->offset, tensor->bytes / experts });
        return true;
    };
    std::vector<expert_part> parts;
    const bool first = find(expert_matrix::gate_up, parts) || (find(expert_matrix::gate, parts) && find(expert_matrix::up, parts));
    if (!first || !find(expert_matrix::down, parts)) {
        return {};
    }
    const int64_t n_ff = parts[0].matrix == expert_matrix::gate_up ? parts[0].n_out / 2 : parts[0].n_out;
    for (const expert_part & part : parts) {
        const bool down = part.matrix == expert_matrix::down;
        if (part.n_in != (down ? n_ff : parts[0].n_in) || part.n_out != (down ? parts[0].n_in : parts[0].n_out)) {
            return {};
        }
    }
    return parts;
}

}  // namespace

expert_place expert_place_of(const expert_layer & layer, uint32_t expert, uint32_t part) {
    const expert_part & own = layer.parts[part];
    if (!layer.is_packed()) {
        return { own.file, own.offset + expert * own.bytes };
    }
    return { layer.packed.file, layer.packed.offset + layer.packed.positions[expert] * layer.packed.stride + packed_offsets(layer.parts)[part] };
}

bool lies_before(const expert_layer & layer, uint32_t expert, uint32_t other) {
    return layer.is_packed() ? layer.packed.positions[expert] < layer.packed.positions[other] : expert < other;
}

std::vector<uint32_t> file_order_of(const expert_layer & layer, uint32_t experts) {
    std::vector<uint32_t> order(experts);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return lies_before(layer, a, b); });
    return order;
}

std::vector<uint64_t> packed_offsets(const std::vector<expert_part> & parts) {
    std::vector<uint64_t> offsets = { 0 };
    for (const expert_part & part : parts) {
        offsets.push_back(offsets.back() + file_reader::aligned(part.bytes));
    }
    return offsets;
}

std::string expert_tensor_name(const expert_layer & layer, const expert_part & part) {
    return tensor_name(layer.block, part.matrix);
}

uint64_t expert_layout::bytes() const {
    uint64_t sum = 0;
    for (const expert_layer & layer : layers) {
        for (const expert_part & part : layer.parts) {
            sum += part.bytes * experts;
        }
    }
    return sum;
}

expert_layout expert_layout_from(const gguf_model & file, const json & inspection) {
    const router_shape shape = router_shape_from(inspection);
    expert_layout      layout;
    layout.files   = file.files;
    layout.experts = shape.expert_count;
    layout.used    = shape.expert_used_count;
    for (const int32_t block : shape.layers) {
        std::vector<expert_part> parts = parts_of_block(file, block, shape.expert_count);
        if (parts.empty()) {
            return {};
        }
        layout.layers.push_back({ block, std::move(parts), {} });
    }
    return layout;
}

std::string expert_layout_pattern(const expert_layout & layout) {
    std::string blocks;
    for (const expert_layer & layer : layout.layers) {
        blocks += (blocks.empty() ? "" : "|") + std::to_string(layer.block);
    }
    return "^blk\\.(" + blocks + ")\\.ffn_(up|down|gate|gate_up)_exps\\.weight$";
}

}  // namespace moebius
