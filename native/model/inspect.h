// What a model's file says about it, without loading it: the Inspection of main/engine/protocol.ts.
#pragma once

#include "gguf-file.h"
#include "rpc/errors.h"
#include "tensor-class.h"

namespace moebius {

// Counts of parameters are elements of tensors. `activeParameterCount` is what computing one token reads:
//   everything but embedding tables and routed experts in full (shared experts, output matrix, attention, router ...),
//   of embedding tables the one row looked up, unless the table is also the output matrix (tied), then all of it,
//   of each layer's routed experts the share expertUsedCount / expertCount,
//   and nothing of layers that only predict further tokens (`nextn_predict_layers`), which generation does not run.
// `layerCount` and `moeLayers` leave those layers out, too.
json inspect_model(const gguf_model & model);

}  // namespace moebius
