// The methods `train.*` of the protocol (main/engine/train-protocol.ts).
#pragma once

#include "rpc/dispatcher.h"

namespace moebius {

// On job threads. Runs live until they are closed; a run takes one call at a time, others wait.
void add_train_methods(dispatcher & methods);

}  // namespace moebius
