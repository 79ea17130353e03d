// An adapter's parameters but for those of routed experts as tensors of a device, found by the base tensor that they change.
#pragma once

#include "adapter.h"
#include "train/graph/runner.h"

#include <unordered_map>

namespace moebius {

// Of one base tensor; without `a` it has no adapter.
struct lora_tensors {
    ggml_tensor *a = nullptr, *b = nullptr;
    float        scale    = 1;
    size_t       a_index  = 0, b_index = 0;  // of adapter::parameters
    float        dropout  = 0;
};

// A base tensor that is trained itself.
struct whole_tensor {
    ggml_tensor * tensor = nullptr;  // null: it is not
    size_t        index  = 0;        // of adapter::parameters
};

class adapter_tensors {
  public:
    // Throws user_error model.does-not-fit.
    adapter_tensors(const adapter & of, ggml_backend_dev_t device);

    // Copies the values to the device.
    void write(const adapter & of) const;

    lora_tensors lora_of(const ggml_tensor * base) const;
    whole_tensor whole_of(const ggml_tensor * base) const;
    whole_tensor router_of_mixture(int64_t layer) const;  // nothing without a mixture

    const lora_mixture & mixture() const { return mixed; }

  private:
    train_tensors                                 memory;
    std::vector<ggml_tensor *>                    made;  // [parameters], null: an expert's
    std::unordered_map<std::string, lora_tensors> loras;
    std::unordered_map<std::string, whole_tensor> wholes;
    lora_mixture                                  mixed;
};

}  // namespace moebius
