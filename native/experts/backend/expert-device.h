// The ggml device that computes routed experts from a store. It takes nodes with expert tensors and nothing else: llama.cpp's
// scheduler gives it the expert FFN of every layer because the weights lie in the store's buffer type.
#pragma once

#include <ggml-backend.h>

namespace moebius {

// Known to llama.cpp from the first call on; call it once the CPU backend is loaded and before a model is opened.
ggml_backend_dev_t expert_device();

}  // namespace moebius
