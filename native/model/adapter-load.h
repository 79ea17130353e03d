// LoRA adapter files for a loaded model.
#pragma once

#include "loaded-model.h"

#include <memory>
#include <string>

namespace moebius {

// Reads the file and puts its pairs beside the tensors that they change: in the same kind of memory, on the same device; those of experts that lie in a store
// into ordinary memory. Throws file.*; file.corrupt; request.invalid (another model's adapter); model.unsupported; model.does-not-fit.
std::shared_ptr<loaded_adapter> load_adapter(const loaded_model & model, const std::string & path);

}  // namespace moebius
