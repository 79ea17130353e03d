// What every export of an adapter asks of it.
#pragma once

#include "train/adapter/adapter.h"
#include "model/gguf-file.h"

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

// alpha such that alpha / r is the tensor's scale, rank-stabilised or not: what loaders that know only alpha / r are told.
float lora_plain_alpha(const adapted_tensor & tensor);

// Parameters that belong to no adapted tensor: whole tensors of the base, trained. Indices of adapter::parameters.
std::vector<size_t> whole_parameters(const adapter & trained);

// Whether the mixture's experts are adapters on this tensor.
bool is_of_mixture(const adapter & trained, const gguf_tensor & base);

// Throws model.unsupported if whole tensors or a mixture were trained, which `format` ("an adapter file") has no place for; names them.
void refuse_what_only_merges(const adapter & trained, const std::string & format);

// Of stacks, every expert has its matrices: what formats of files ask for.
bool has_all_experts(const adapter & trained);

// Every number is finite, or file.corrupt names the parameter. `source` is what the message begins with: a file, or "The adapter".
void check_adapter_numbers(const adapter & trained, const std::string & source);

// The same of one parameter's numbers.
void check_finite(const std::string & parameter, const float * values, size_t count, const std::string & source);

// The tensors are those of `base`, with its shapes. Throws request.invalid (another model's adapter), file.corrupt (pairs that don't fit each other).
void check_adapter_fits(const adapter & trained, const gguf_model & base, const std::string & source);

}  // namespace moebius
