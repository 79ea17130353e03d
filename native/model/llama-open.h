// The one place where llama.cpp opens a model file.
#pragma once

#include "gguf-file.h"
#include "llama-log.h"

#include <llama-cpp.h>

namespace moebius {

// Opens a validated file. Null: the progress callback of `parameters` said stop. Throws model.unsupported for an
// architecture that this llama.cpp does not know or that is no decoder, else model.load-failed with llama.cpp's own reason,
// which `log` (innermost scope of this thread) caught.
llama_model_ptr llama_open(const gguf_model & file, const llama_model_params & parameters, const llama_log_scope & log);

}  // namespace moebius
