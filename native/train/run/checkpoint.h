// A training run on disk: everything that it needs to go on to the bit as if it had not stopped.
#pragma once

#include "run.h"

namespace moebius {

struct checkpoint {
    json      settings;  // of the run, as train.open was given them
    run_state state;
};

// One file that appears whole or not at all. Throws disk.full (details need and have, bytes), file.unwritable.
void checkpoint_write(const checkpoint & what, const std::string & path);

// Throws file.not-found, file.unreadable, file.truncated, file.version (another format), file.corrupt: a checksum or sizes that do not fit.
checkpoint checkpoint_read(const std::string & path);

}  // namespace moebius
