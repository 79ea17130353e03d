// Safetensors files: 8 bytes of header length, a JSON header, tensors side by side (https://github.com/huggingface/safetensors, "Format").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

struct safetensor {
    std::string          name;
    std::vector<int64_t> shape;   // as PyTorch counts: the last dimension lies side by side
    std::vector<float>   values;
};

// Writes `path` as F32, whole or not at all. Throws disk.full, file.unwritable.
void safetensors_write(const std::vector<safetensor> & tensors, const std::string & path);

}  // namespace moebius
