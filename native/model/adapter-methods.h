// The table of `adapter.*`.
#pragma once

#include "registry.h"

namespace moebius {

void add_adapter_methods(dispatcher & methods, model_registry & registry);

}  // namespace moebius
