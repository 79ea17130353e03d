// The methods of native/rpc/README.md that are about devices and models, for the dispatcher.
#pragma once

#include "backends.h"
#include "registry.h"
#include "rpc/dispatcher.h"

namespace moebius {

// `registry` and `backends` must outlive the dispatcher's last job.
void add_methods(dispatcher & methods, model_registry & registry, const backend_set & backends);

}  // namespace moebius
