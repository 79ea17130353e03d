// experts.calibrate.
#pragma once

#include "registry.h"
#include "rpc/dispatcher.h"

namespace moebius {

// Measures (calibrate.h), and keeps the result beside the model. Throws what calibrate does, model.not-loaded, cancelled, disk.full, file.unwritable.
json calibrate_model(call & request, const json & params, const model_registry & registry);

}  // namespace moebius
