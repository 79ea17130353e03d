// Weights that llama.cpp reads from its mapping of the model's file, moved to huge pages where they are.
//
// A mapped file has pages of 4 KiB on most file systems, and each takes an address translation: with llama-bench, one thread, decoding was a fifth slower than from huge
// pages. Linux gives those to anonymous memory; addresses stay, llama.cpp notices nothing and unmaps them with the rest. What was mapped
// stays in the page cache for as long as nobody needs its memory. Does nothing on other systems, and where huge pages are switched off.
#pragma once

#include <llama.h>

#include <cstdint>
#include <functional>

namespace moebius {

// Nobody may read the model's weights meanwhile. At most `bytes_most`: all or none. `go_on` hears bytes of bytes; false stops. Returns the bytes that were moved; what could not be stays where it is.
uint64_t weights_to_huge_pages(const llama_model * model, uint64_t bytes_most, const std::function<bool(uint64_t, uint64_t)> & go_on);

}  // namespace moebius
