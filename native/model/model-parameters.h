// Our load options in llama.cpp's terms.
#pragma once

#include "experts/backend/loaded-experts.h"
#include "options.h"

#include <ggml-backend.h>
#include <llama.h>

namespace moebius {

// llama_model_params with everything it points to. Neither copied nor moved, because of those pointers.
class model_parameters {
  public:
    // `inspection`: an Inspection object; its moeLayers tell which layers have experts.
    // `experts`: the store for them, or null; it must outlive the model.
    model_parameters(const load_options & options, const json & inspection, loaded_experts * experts);
    model_parameters(const model_parameters &)             = delete;
    model_parameters & operator=(const model_parameters &) = delete;

    llama_model_params value;

  private:
    std::vector<ggml_backend_dev_t>               devices;    // null at the end
    std::vector<float>                            split;      // llama_max_devices() long, or empty
    std::vector<std::string>                      patterns;
    std::vector<llama_model_tensor_buft_override> overrides;  // null at the end
};

}  // namespace moebius
