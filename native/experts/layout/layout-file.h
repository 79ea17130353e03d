// The layout file of a model: its routed experts once more, each in one piece, in an order of our choosing. Lies beside the model.
//
// A GGUF file (alignment 4096) with a tensor `blk.N.experts` of I8 [stride, experts] for each MoE layer; its metadata says whose experts
// they are and in which order. Format: README.md of this folder.
#pragma once

#include "experts/store/expert-layout.h"

#include <string>

namespace moebius {

constexpr uint32_t layout_version = 1;

namespace layout_keys {
constexpr const char * version     = "moebius.layout.version";
constexpr const char * fingerprint = "moebius.layout.fingerprint";
constexpr const char * experts     = "moebius.layout.experts";
constexpr const char * blocks      = "moebius.layout.blocks";  // u32 [layers]
constexpr const char * order       = "moebius.layout.order";   // u32 [layers][position] -> expert
}  // namespace layout_keys

// "blk.3.experts"
std::string layout_tensor_name(const expert_layer & layer);

// Where the layout file of a model is: the path of its first file and ".layout".
std::string layout_path_of(const gguf_model & file);

// Where its experts are in fewer bits, in the same format: the path of its first file, "." and a name of low_precision_names().
std::string low_precision_path_of(const gguf_model & file, const std::string & type);

// Changes when the model's files or the shapes of its experts do: sizes, times of change, headers, and samples of every expert matrix.
// Throws file.unreadable.
std::string layout_fingerprint(const gguf_model & file, const expert_layout & layout);

// `layout`, with its experts where the layout file has them. Throws file.*: it cannot be read, is damaged, or is not of the model with
// this fingerprint.
expert_layout layout_apply(expert_layout layout, const std::string & path, const std::string & fingerprint);

}  // namespace moebius
