// Header and tensor table of one GGUF file.
#include "gguf-part.h"
#include "utf8.h"

#include <cstring>
#include <unordered_set>

namespace moebius {

const gguf_value * gguf_part::find(const std::string & key) const {
    for (const auto & [name, value] : metadata) {
        if (name == key) {
            return &value;
        }
    }
    return nullptr;
}

struct gguf_header {
    uint32_t version;
    uint64_t tensor_count;
    uint64_t key_count;
};

static void check_count(const gguf_reader & reader, const char * what, uint64_t count, uint64_t limit, uint64_t bytes_each) {
    if (count > limit || count > reader.left() / bytes_each) {
        gguf_fail("file.corrupt", reader.path(),
                  "the header claims " + std::to_string(count) + " " + what + "; the limit is " + std::to_string(limit) +
                      " and the rest of the file has room for " + std::to_string(reader.left() / bytes_each),
                  { { "count", count }, { "limit", limit } });
    }
}

static gguf_header read_header(gguf_reader & reader) {
    char magic[4];
    if (reader.size() < sizeof(magic)) {
        gguf_fail("file.not-gguf", reader.path(), "not a GGUF file: only " + std::to_string(reader.size()) + " bytes long");
    }
    reader.read(magic, sizeof(magic), "the magic number");
    if (std::memcmp(magic, "GGUF", 4) != 0) {
        gguf_fail("file.not-gguf", reader.path(), "not a GGUF file: it starts with '" + utf8_quote(std::string(magic, 4)) +
                  "' instead of 'GGUF'; convert the model to GGUF first");
    }
    gguf_header header = {};
    header.version     = reader.read_u32("the version");
    if ((header.version & 0xFFFF) == 0 && header.version != 0) {
        gguf_fail("file.version", reader.path(), "a big-endian GGUF file; get the little-endian one", { { "version", header.version } });
    }
    if (header.version != 2 && header.version != 3) {
        gguf_fail("file.version", reader.path(), "GGUF version " + std::to_string(header.version) +
                  "; readable are 2 and 3. Convert the model again with current tools", { { "version", header.version } });
    }
    header.tensor_count = reader.read_u64("the tensor count");
    header.key_count    = reader.read_u64("the metadata count");
    check_count(reader, "metadata keys", header.key_count, GGUF_MAX_KEY_COUNT, 8 + 1 + 4 + 1);
    check_count(reader, "tensors", header.tensor_count, GGUF_MAX_TENSOR_COUNT, 8 + 1 + 4 + 8 + 4 + 8);
    return header;
}

static uint64_t read_alignment(const gguf_part & part) {
    const gguf_value * value = part.find("general.alignment");
    if (value == nullptr) {
        return GGUF_DEFAULT_ALIGNMENT;
    }
    const uint64_t alignment = value->type == GGUF_TYPE_UINT32 && !value->array ? uint64_t(*value->integer()) : 0;
    if (alignment < GGUF_MIN_ALIGNMENT || alignment > GGUF_MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0) {
        gguf_fail("file.corrupt", part.path, "general.alignment is " + std::to_string(alignment) +
                  "; it has to be a 32-bit power of two from " + std::to_string(GGUF_MIN_ALIGNMENT) + " to " +
                  std::to_string(GGUF_MAX_ALIGNMENT), { { "alignment", alignment } });
    }
    return alignment;
}

static std::string read_tensor_name(gguf_reader & reader, std::unordered_set<std::string> & seen) {
    const uint64_t start = reader.position();
    std::string    name  = reader.read_string(GGML_MAX_NAME - 1, "a tensor name");
    if (name.empty() || name.find('\0') != std::string::npos) {
        gguf_fail("file.corrupt", reader.path(), "the tensor name at offset " + std::to_string(start) + " is empty or holds a zero byte",
                  { { "offset", start } });
    }
    if (!seen.insert(name).second) {
        gguf_fail("file.corrupt", reader.path(), "tensor '" + utf8_quote(name) + "' is there twice, again at offset " +
                  std::to_string(start), { { "offset", start } });
    }
    return name;
}

static void read_shape(gguf_reader & reader, gguf_tensor & tensor) {
    const uint64_t start      = reader.position();
    const uint32_t dimensions = reader.read_u32("a dimension count");
    const auto     fail       = [&](const std::string & message) {
        gguf_fail("file.corrupt", reader.path(), "tensor '" + utf8_quote(tensor.name) + "' " + message + " (offset " +
                  std::to_string(start) + ")", { { "offset", start } });
    };
    if (dimensions < 1 || dimensions > GGML_MAX_DIMS) {
        fail("has " + std::to_string(dimensions) + " dimensions; possible are 1 to " + std::to_string(GGML_MAX_DIMS));
    }
    tensor.ne        = { 1, 1, 1, 1 };
    uint64_t product = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
        const uint64_t size = reader.read_u64("a dimension");
        // so every product of dimensions, and the bytes of the largest type, stay below 2^63
        if (size < 1 || size > (uint64_t(1) << 56) / product) {
            fail("has dimension " + std::to_string(i) + " of " + std::to_string(size) + ", which is impossible");
        }
        product *= size;
        tensor.ne[i] = int64_t(size);
    }
}

static void read_type_and_size(gguf_reader & reader, gguf_tensor & tensor) {
    const uint64_t start = reader.position();
    const uint32_t type  = reader.read_u32("a tensor type");
    // removed types have size 0; ask ggml only about numbers inside its table
    if (type >= GGML_TYPE_COUNT || ggml_type_size(ggml_type(type)) == 0 || ggml_blck_size(ggml_type(type)) == 0) {
        gguf_fail("file.corrupt", reader.path(), "tensor '" + utf8_quote(tensor.name) + "' has type " + std::to_string(type) +
                  " at offset " + std::to_string(start) + ", which this version does not know", { { "offset", start }, { "type", type } });
    }
    tensor.type         = ggml_type(type);
    const int64_t block = ggml_blck_size(tensor.type);
    if (tensor.ne[0] % block != 0) {
        gguf_fail("file.corrupt", reader.path(), "tensor '" + utf8_quote(tensor.name) + "' of type " + ggml_type_name(tensor.type) +
                  " has rows of " + std::to_string(tensor.ne[0]) + " elements, not a multiple of " + std::to_string(block),
                  { { "offset", start } });
    }
    // elements <= 2^56, and no block is larger than 8 bytes an element
    tensor.bytes = uint64_t(tensor.elements() / block) * ggml_type_size(tensor.type);
}

// Offsets in the table are relative to the data section. llama.cpp insists that tensors follow each other, padded.
static void place_tensors(gguf_part & part, uint64_t table_end, uint64_t alignment) {
    const auto pad  = [&](uint64_t bytes) { return (bytes + alignment - 1) & ~(alignment - 1); };
    const uint64_t data = pad(table_end);  // table_end < 2^30
    uint64_t       next = 0;
    for (gguf_tensor & tensor : part.tensors) {
        if (tensor.offset != next) {
            gguf_fail("file.corrupt", part.path, "tensor '" + utf8_quote(tensor.name) + "' starts at data offset " +
                      std::to_string(tensor.offset) + " where " + std::to_string(next) + " is expected; tensors overlap or leave a gap",
                      { { "offset", tensor.offset }, { "expected", next } });
        }
        // next and data are inside the file, bytes < 2^60: no overflow
        if (data + next + tensor.bytes > part.bytes) {
            gguf_fail("file.truncated", part.path, "tensor '" + utf8_quote(tensor.name) + "' needs " +
                      std::to_string(data + next + tensor.bytes) + " bytes of file, which has " + std::to_string(part.bytes) +
                      "; it is damaged or not fully downloaded",
                      { { "need", data + next + tensor.bytes }, { "have", part.bytes } });
        }
        tensor.offset = data + next;
        next += pad(tensor.bytes);
    }
}

gguf_part gguf_read_part(const std::string & path) {
    gguf_reader reader(path);
    gguf_part   part;
    part.path  = path;
    part.bytes = reader.size();

    const gguf_header header = read_header(reader);
    part.version             = header.version;
    part.metadata            = gguf_read_metadata(reader, header.key_count);
    const uint64_t alignment = read_alignment(part);

    std::unordered_set<std::string> seen;
    for (uint64_t i = 0; i < header.tensor_count; ++i) {
        gguf_tensor tensor = {};
        tensor.name        = read_tensor_name(reader, seen);
        read_shape(reader, tensor);
        read_type_and_size(reader, tensor);
        tensor.offset = reader.read_u64("a tensor offset");
        part.tensors.push_back(std::move(tensor));
    }
    place_tensors(part, reader.position(), alignment);
    return part;
}

}  // namespace moebius
