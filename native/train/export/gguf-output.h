// A GGUF file that is written tensor by tensor and appears whole or not at all.
#pragma once

#include "experts/layout/file-writer.h"

#include <gguf.h>

#include <cstdint>
#include <string>

namespace moebius {

class gguf_output {
  public:
    // `described` has all metadata and tensors (without data). Throws disk.full (details need and have, bytes), file.unwritable.
    gguf_output(const gguf_context * described, const std::string & path);

    uint64_t bytes() const { return total; }     // of the whole file
    uint64_t written() const { return done; }
    // Data of the tensors, in their order, in pieces of any size.
    void write(const void * data, uint64_t bytes);
    // Behind the last piece of each tensor: pads.
    void end_tensor();
    // All tensors are there: the file gets its name.
    void publish();

  private:
    uint64_t    total, alignment, done = 0;
    file_writer out;
};

}  // namespace moebius
