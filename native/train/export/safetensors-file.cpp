#include "safetensors-file.h"

#include "experts/layout/file-writer.h"

#include <nlohmann/json.hpp>

namespace moebius {

namespace {

constexpr uint64_t safetensors_flush_bytes = 64u << 20;  // that may be written and not yet on the disk

std::string safetensors_header(const std::vector<safetensor> & tensors) {
    nlohmann::ordered_json header = { { "__metadata__", { { "format", "pt" } } } };
    uint64_t               offset = 0;
    for (const safetensor & tensor : tensors) {
        const uint64_t end   = offset + tensor.values.size() * sizeof(float);
        header[tensor.name]  = { { "dtype", "F32" }, { "shape", tensor.shape }, { "data_offsets", { offset, end } } };
        offset               = end;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data are aligned
    return text;
}

}  // namespace

void safetensors_write(const std::vector<safetensor> & tensors, const std::string & path) {
    const std::string header = safetensors_header(tensors);
    const uint64_t    length = header.size();
    uint64_t          bytes  = sizeof(length) + length;
    for (const safetensor & tensor : tensors) {
        bytes += tensor.values.size() * sizeof(float);
    }
    file_writer out(path, bytes, safetensors_flush_bytes);
    out.write(&length, sizeof(length));
    out.write(header.data(), header.size());
    for (const safetensor & tensor : tensors) {
        out.write(tensor.values.data(), tensor.values.size() * sizeof(float));
    }
    out.publish();
}

}  // namespace moebius
