// What base-shape and base-rope read of a model's metadata.
#pragma once

#include "model/gguf-file.h"
#include "rpc/errors.h"

namespace moebius {

// "This model cannot be trained: `what`."
user_error untrainable(const gguf_model & file, const std::string & what);

// Of `<architecture>.<name>`; fallback if it is absent or no number.
float metadata_number(const gguf_model & file, const char * name, double fallback);

}  // namespace moebius
