// `train.export`: files of a checkpoint.
#pragma once

#include "rpc/dispatcher.h"

namespace moebius {

// Throws what checkpoint_read and the exports do; request.invalid: the base is not the one that was trained, or the file is the checkpoint or the base.
json export_method(call & request, const json & params);

}  // namespace moebius
