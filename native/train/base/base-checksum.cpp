#include "base-checksum.h"

#include "running-checksum.h"
#include "tensor-reader.h"

#include <algorithm>
#include <map>

namespace moebius {

namespace {

constexpr uint64_t sample_bytes = 512;

void add_hparams(running_checksum & checksum, const gguf_model & file) {
    const std::string                  prefix = file.architecture() + ".";
    std::map<std::string, const gguf_value *> sorted;
    for (const auto & [key, value] : file.metadata) {
        if (key.rfind(prefix, 0) == 0) {
            sorted[key] = &value;
        }
    }
    checksum.add(file.architecture());
    for (const auto & [key, value] : sorted) {
        checksum.add(key);
        checksum.add(value->bytes.data(), value->bytes.size());
        for (const std::string & text : value->strings) {
            checksum.add(text);
        }
    }
}

}  // namespace

uint64_t base_checksum(const gguf_model & file) {
    running_checksum checksum;
    add_hparams(checksum, file);
    tensor_reader reader(file);
    for (const gguf_tensor & tensor : file.tensors) {
        checksum.add(tensor.name);
        checksum.add(&tensor.type, sizeof(tensor.type));
        checksum.add(tensor.ne.data(), sizeof(tensor.ne));
        const int64_t  matrices = tensor.ne[2] * tensor.ne[3];
        const uint64_t bytes = tensor.bytes / uint64_t(matrices), taken = std::min(sample_bytes, bytes);
        for (int64_t i = 0; i < matrices; i++) {
            uint8_t sample[sample_bytes];
            reader.read(tensor, uint64_t(i) * bytes + (bytes - taken) / 2, taken, sample);
            checksum.add(sample, taken);
        }
    }
    return checksum.value();
}

}  // namespace moebius
