// The methods `experts.*` of the protocol (rpc/README.md).
#pragma once

#include "registry.h"
#include "rpc/dispatcher.h"

namespace moebius {

// `registry` must outlive `methods`.
void add_expert_methods(dispatcher & methods, const model_registry & registry);

}  // namespace moebius
