#include "tensor-reader.h"

#include "rpc/errors.h"

#include <cstring>
#include <filesystem>

namespace moebius {

void tensor_numbers(ggml_type type, const void * bytes, std::vector<float> & numbers) {
    if (type == GGML_TYPE_F32) {
        std::memcpy(numbers.data(), bytes, numbers.size() * sizeof(float));
    } else {
        ggml_get_type_traits(type)->to_float(bytes, numbers.data(), int64_t(numbers.size()));
    }
}

void tensor_reader::read(const gguf_tensor & tensor, uint64_t offset, uint64_t bytes, void * into) {
    if (open != int64_t(tensor.file)) {
        file = std::ifstream(std::filesystem::u8path(model.files[tensor.file]), std::ios::binary);
        open = int64_t(tensor.file);
    }
    file.seekg(std::streamoff(tensor.offset + offset));
    if (!file.read(static_cast<char *>(into), std::streamsize(bytes))) {
        const std::string & path = model.files[tensor.file];
        throw user_error("file.unreadable", path + " cannot be read where it has the tensor " + tensor.name + ".", { { "path", path } });
    }
}

std::vector<float> tensor_reader::numbers(const gguf_tensor & tensor) {
    std::vector<float>   values(static_cast<size_t>(tensor.elements()));
    std::vector<uint8_t> bytes(tensor.bytes);
    read(tensor, 0, tensor.bytes, bytes.data());
    tensor_numbers(tensor.type, bytes.data(), values);
    return values;
}

}  // namespace moebius
