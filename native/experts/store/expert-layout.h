// Where every routed expert of a model lies in its files.
#pragma once

#include "model/gguf-file.h"
#include "rpc/errors.h"

#include <string>
#include <vector>

namespace moebius {

// One matrix of an expert; those of a layer's experts follow one another in the file.
enum class expert_matrix : uint8_t { gate, up, gate_up, down };

struct expert_part {
    expert_matrix matrix = expert_matrix::gate;
    ggml_type     type   = GGML_TYPE_COUNT;
    int64_t       n_in   = 0;  // values of a row
    int64_t       n_out  = 0;  // rows
    uint32_t      file   = 0;
    uint64_t      offset = 0;  // of expert 0
    uint64_t      bytes  = 0;  // of one expert
};

// Where a layer's experts lie in a layout file (experts/layout): one behind the other, `stride` bytes each, the matrices of one in the order
// of expert_layer::parts, each padded to the alignment of file_reader.
struct packed_experts {
    uint32_t              file   = 0;
    uint64_t              offset = 0;  // of the first, aligned
    uint64_t              stride = 0;
    std::vector<uint32_t> positions;   // [expert]; empty: the layer is in no layout file
};

struct expert_layer {
    int32_t                  block = 0;  // index in the model
    std::vector<expert_part> parts;      // in the order in which they are needed; `down` is the last
    packed_experts           packed;

    bool is_packed() const { return !packed.positions.empty(); }
};

struct expert_place {
    uint32_t file   = 0;
    uint64_t offset = 0;
};

// Of a matrix of an expert: in the layout file if there is one, else in the model.
expert_place expert_place_of(const expert_layer & layer, uint32_t expert, uint32_t part);

// Whether the first matrix of an expert lies before another's.
bool lies_before(const expert_layer & layer, uint32_t expert, uint32_t other);

// [position] -> expert, as they lie in the file.
std::vector<uint32_t> file_order_of(const expert_layer & layer, uint32_t experts);

// Offsets of the matrices in a packed expert, and its stride as the last.
std::vector<uint64_t> packed_offsets(const std::vector<expert_part> & parts);

struct expert_layout {
    std::vector<std::string>  files;    // absolute paths, UTF-8
    std::vector<expert_layer> layers;   // MoE layers, ascending
    uint32_t                  experts = 0;  // per layer
    uint32_t                  used    = 0;  // per token, the most

    bool     empty() const { return layers.empty() || experts == 0; }
    uint64_t bytes() const;  // of all experts
};

// From a validated model and its Inspection. Empty: no layer has routed experts in a shape that the store takes (gate and up, or
// both in one, and down; all with the same number of experts).
expert_layout expert_layout_from(const gguf_model & file, const json & inspection);

// A regular expression that finds exactly the layout's tensors, for llama.cpp's tensor overrides.
std::string expert_layout_pattern(const expert_layout & layout);

// "blk.3.ffn_down_exps.weight" ...
std::string expert_tensor_name(const expert_layer & layer, const expert_part & part);

}  // namespace moebius
