// What tells one base from another, wherever its files are.
#pragma once

#include "model/gguf-file.h"

namespace moebius {

// Of what decides on its numbers: its architecture's metadata, and every tensor's name, type and shape with 512 bytes from the middle of each of its matrices (an expert's is one). That is as good as all bytes for
// models that differ by a conversion or by training, at one read a matrix: 20 thousand for one of 30 billion parameters. The same for a split model and for one file; names, templates and tokenisers are not looked at.
// Throws user_error file.unreadable.
uint64_t base_checksum(const gguf_model & file);

}  // namespace moebius
