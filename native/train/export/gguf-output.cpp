#include "gguf-output.h"

#include <cassert>
#include <vector>

namespace moebius {

namespace {

constexpr uint64_t output_flush_bytes = 64u << 20;  // that may be written and not yet on the disk

uint64_t padded_to(uint64_t bytes, uint64_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

uint64_t whole_bytes(const gguf_context * described) {
    uint64_t sum = padded_to(gguf_get_meta_size(described), gguf_get_alignment(described));
    for (int64_t i = 0; i < gguf_get_n_tensors(described); i++) {
        sum += padded_to(gguf_get_tensor_size(described, i), gguf_get_alignment(described));
    }
    return sum;
}

}  // namespace

gguf_output::gguf_output(const gguf_context * described, const std::string & path)
    : total(whole_bytes(described)), alignment(gguf_get_alignment(described)), out(path, total, output_flush_bytes) {
    std::vector<uint8_t> header(gguf_get_meta_size(described));
    gguf_get_meta_data(described, header.data());
    write(header.data(), header.size());
    end_tensor();  // the first one's data are aligned, too
}

void gguf_output::write(const void * data, uint64_t bytes) {
    out.write(data, bytes);
    done += bytes;
}

void gguf_output::end_tensor() {
    const std::vector<uint8_t> zeros(padded_to(done, alignment) - done, 0);
    write(zeros.data(), zeros.size());
}

void gguf_output::publish() {
    assert(done == total);
    out.publish();
}

}  // namespace moebius
