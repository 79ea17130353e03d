// A few layers of a model and of what is trained of them, which stand for all.
#pragma once

#include "train/adapter/adapter.h"
#include "train/base/base-shape.h"

namespace moebius {

struct model_sample {
    gguf_model           file;
    base_shape           shape;
    adapter              trained;   // with numbers
    std::vector<int64_t> stands_for;  // [layers of the model] which of the sample's
};

// Without layers that are not trained. outline: of what is trained of the model, with or without numbers. Layers without experts are stood for by the first one, others by two, of which the second has most that is trained, or by the
// only one that there is. routed: layers with experts, if not two.
model_sample sample_of(const gguf_model & file, const base_shape & shape, const adapter & outline, int64_t routed = 2);

// The same tensors without contents: whoever reads them reads nothing.
gguf_model without_contents(gguf_model file);

}  // namespace moebius
