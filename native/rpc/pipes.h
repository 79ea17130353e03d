// The three standard descriptors and the ties to the parent process.
#pragma once

#include <cstddef>

namespace moebius {

struct protocol_pipes {
    int input;   // requests come in here (fd 0)
    int output;  // a private duplicate of the first fd 1: the only way to the client
};

// Call first in main: keeps fd 1 for the protocol and points fd 1 itself at stderr, so that no printf of any library
// reaches the client. Ignores SIGPIPE (writes report it) and SIGINT (Ctrl-C in a terminal is the parent's to handle:
// the engine ends when its stdin does). On Linux the kernel also kills this process when the parent dies.
protocol_pipes protocol_open();

// Reads what there is, at most `size` bytes, waiting for the first. 0: end of stream or error.
size_t pipe_read(int descriptor, char * data, size_t size);

// Writes everything. false: the other end is gone.
bool pipe_write(int descriptor, const char * data, size_t size);

}  // namespace moebius
