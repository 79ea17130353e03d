// The method `experts.writeLayout` of the protocol (rpc/README.md).
#pragma once

#include "registry.h"
#include "rpc/dispatcher.h"

namespace moebius {

// On a job thread. With `background` the copying gives way to everything else, and stops while `registry` is not idle.
json write_layout(call & request, const json & params, const model_registry & registry);

}  // namespace moebius
