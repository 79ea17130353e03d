#include "layout-file.h"

#include "model/gguf-part.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace moebius {

namespace {

// FNV-1a, 64 bits: tells one model file from another, and is no protection against forgery.
class running_hash {
  public:
    void add(const void * data, size_t bytes) {
        for (size_t i = 0; i < bytes; i++) {
            value = (value ^ static_cast<const uint8_t *>(data)[i]) * 1099511628211u;
        }
    }
    void add(uint64_t number) { add(&number, sizeof(number)); }

    std::string text() const {
        char hexadecimal[17];
        std::snprintf(hexadecimal, sizeof(hexadecimal), "%016llx", static_cast<unsigned long long>(value));
        return hexadecimal;
    }

  private:
    uint64_t value = 14695981039346656037u;
};

class sampled_file {
  public:
    explicit sampled_file(const std::string & path) : path(path), stream(std::filesystem::u8path(path), std::ios::binary) {}

    void add(running_hash & hash, uint64_t offset, uint64_t bytes) {
        std::vector<char> buffer(bytes);
        stream.seekg(std::streamoff(offset));
        if (!stream.read(buffer.data(), std::streamsize(bytes))) {
            throw user_error("file.unreadable", path + " cannot be read at offset " + std::to_string(offset) + ".", { { "path", path } });
        }
        hash.add(buffer.data(), bytes);
    }

  private:
    std::string   path;
    std::ifstream stream;
};

uint64_t time_of_change(const std::string & path) {
    std::error_code error;
    const auto      time = std::filesystem::last_write_time(std::filesystem::u8path(path), error);
    return error ? 0 : uint64_t(time.time_since_epoch().count());
}

void add_samples(running_hash & hash, const gguf_model & file, const expert_layout & layout, std::vector<sampled_file> & streams) {
    constexpr uint64_t sample = 4096;
    for (const expert_layer & layer : layout.layers) {
        for (const expert_part & part : layer.parts) {
            const gguf_tensor & tensor = *file.find_tensor(expert_tensor_name(layer, part));
            const uint64_t      bytes  = std::min(sample, tensor.bytes);
            for (const uint64_t at : { uint64_t(0), (tensor.bytes - bytes) / 2, tensor.bytes - bytes }) {
                streams[tensor.file].add(hash, tensor.offset + at, bytes);
            }
        }
    }
}

[[noreturn]] void refuse_layout(const std::string & path, const std::string & what) {
    throw user_error("file.corrupt", path + " " + what + ". Write it anew (moebius layout).", { { "path", path } });
}

// Of an array of `count` numbers.
std::vector<uint32_t> numbers_of(const gguf_part & part, const char * key, uint64_t count) {
    const gguf_value * value = part.find(key);
    if (!value || value->type != GGUF_TYPE_UINT32 || !value->array || value->count != count) {
        refuse_layout(part.path, std::string("has no ") + key + " of " + std::to_string(count) + " numbers");
    }
    std::vector<uint32_t> numbers(count);
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = uint32_t(*value->integer(i));
    }
    return numbers;
}

// What a scalar says, as text; "" without.
std::string scalar_of(const gguf_part & part, const char * key) {
    const gguf_value * value = part.find(key);
    if (!value || value->array) {
        return "";
    }
    return value->text() ? *value->text() : std::to_string(value->integer().value_or(-1));
}

void check_identity(const gguf_part & part, const std::string & fingerprint, const expert_layout & layout) {
    if (scalar_of(part, layout_keys::version) != std::to_string(layout_version)) {
        throw user_error("file.version", part.path + " has version '" + scalar_of(part, layout_keys::version) + "' of the layout's format; this program knows " +
                                             std::to_string(layout_version) + ". Write it anew (moebius layout).",
                         { { "path", part.path } });
    }
    if (scalar_of(part, layout_keys::fingerprint) != fingerprint || scalar_of(part, layout_keys::experts) != std::to_string(layout.experts)) {
        refuse_layout(part.path, "was made of another model, or of this one before it was changed or copied");
    }
}

packed_experts packed_layer(const gguf_part & part, const expert_layer & layer, uint32_t experts, const uint32_t * order) {
    const std::string name   = layout_tensor_name(layer);
    const uint64_t    stride = packed_offsets(layer.parts).back();
    for (const gguf_tensor & tensor : part.tensors) {
        if (tensor.name != name) {
            continue;
        }
        const bool         right = tensor.type == GGML_TYPE_I8 && uint64_t(tensor.ne[0]) == stride && tensor.ne[1] == int64_t(experts) && tensor.ne[2] == 1 && tensor.ne[3] == 1;
        packed_experts     packed{ 0, tensor.offset, stride, std::vector<uint32_t>(experts, experts) };
        for (uint32_t position = 0; position < experts; position++) {
            if (order[position] >= experts || packed.positions[order[position]] != experts) {
                refuse_layout(part.path, "does not hold every expert of " + name + " once");
            }
            packed.positions[order[position]] = position;
        }
        if (right && tensor.offset % 4096 == 0) {
            return packed;
        }
        refuse_layout(part.path, "has another shape of " + name);
    }
    refuse_layout(part.path, "has no " + name);
}

}  // namespace

std::string layout_tensor_name(const expert_layer & layer) {
    return "blk." + std::to_string(layer.block) + ".experts";
}

std::string layout_path_of(const gguf_model & file) {
    return file.files.front() + ".layout";
}

std::string low_precision_path_of(const gguf_model & file, const std::string & type) {
    return file.files.front() + "." + type;
}

std::string layout_fingerprint(const gguf_model & file, const expert_layout & layout) {
    running_hash              hash;
    std::vector<sampled_file> streams;
    for (uint32_t i = 0; i < file.files.size(); i++) {
        uint64_t header = file.file_bytes[i];
        for (const gguf_tensor & tensor : file.tensors) {
            header = tensor.file == i ? std::min(header, tensor.offset) : header;
        }
        streams.emplace_back(file.files[i]);
        hash.add(file.file_bytes[i]);
        hash.add(time_of_change(file.files[i]));
        streams.back().add(hash, 0, std::min(header, GGUF_MAX_HEADER_BYTES));
    }
    add_samples(hash, file, layout, streams);
    return hash.text();
}

expert_layout layout_apply(expert_layout layout, const std::string & path, const std::string & fingerprint) {
    const gguf_part part = gguf_read_part(path);
    check_identity(part, fingerprint, layout);
    const size_t                layers = layout.layers.size();
    const std::vector<uint32_t> blocks = numbers_of(part, layout_keys::blocks, layers);
    const std::vector<uint32_t> order  = numbers_of(part, layout_keys::order, layers * layout.experts);
    for (size_t i = 0; i < layers; i++) {
        if (int32_t(blocks[i]) != layout.layers[i].block) {
            refuse_layout(path, "is of other layers");
        }
        layout.layers[i].packed      = packed_layer(part, layout.layers[i], layout.experts, order.data() + i * layout.experts);
        layout.layers[i].packed.file = uint32_t(layout.files.size());
    }
    layout.files.push_back(path);
    return layout;
}

}  // namespace moebius
