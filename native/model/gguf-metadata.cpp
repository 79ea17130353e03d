// Key-value pairs of a GGUF file.
#include "gguf-part.h"
#include "utf8.h"

#include <cstring>
#include <limits>
#include <unordered_set>

namespace moebius {

uint64_t gguf_element_bytes(gguf_type type) {
    switch (type) {
        case GGUF_TYPE_UINT8:
        case GGUF_TYPE_INT8:
        case GGUF_TYPE_BOOL:
            return 1;
        case GGUF_TYPE_UINT16:
        case GGUF_TYPE_INT16:
            return 2;
        case GGUF_TYPE_UINT32:
        case GGUF_TYPE_INT32:
        case GGUF_TYPE_FLOAT32:
            return 4;
        case GGUF_TYPE_UINT64:
        case GGUF_TYPE_INT64:
        case GGUF_TYPE_FLOAT64:
            return 8;
        default:
            return 0;
    }
}

template <typename T>
static T element(const std::vector<uint8_t> & bytes, uint64_t index) {
    T value;
    std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
    return value;
}

std::optional<int64_t> gguf_value::integer(uint64_t index) const {
    if (index >= count) {
        return std::nullopt;
    }
    switch (type) {
        case GGUF_TYPE_UINT8:
            return element<uint8_t>(bytes, index);
        case GGUF_TYPE_INT8:
            return element<int8_t>(bytes, index);
        case GGUF_TYPE_BOOL:
            return element<uint8_t>(bytes, index) != 0;
        case GGUF_TYPE_UINT16:
            return element<uint16_t>(bytes, index);
        case GGUF_TYPE_INT16:
            return element<int16_t>(bytes, index);
        case GGUF_TYPE_UINT32:
            return element<uint32_t>(bytes, index);
        case GGUF_TYPE_INT32:
            return element<int32_t>(bytes, index);
        case GGUF_TYPE_INT64:
            return element<int64_t>(bytes, index);
        case GGUF_TYPE_UINT64: {
            const auto value = element<uint64_t>(bytes, index);
            return value <= uint64_t(std::numeric_limits<int64_t>::max()) ? std::optional<int64_t>(int64_t(value)) : std::nullopt;
        }
        default:
            return std::nullopt;
    }
}

std::optional<double> gguf_value::number(uint64_t index) const {
    if (index >= count || type == GGUF_TYPE_STRING) {
        return std::nullopt;
    }
    if (type == GGUF_TYPE_FLOAT32) {
        return element<float>(bytes, index);
    }
    if (type == GGUF_TYPE_FLOAT64) {
        return element<double>(bytes, index);
    }
    if (type == GGUF_TYPE_UINT64) {
        return double(element<uint64_t>(bytes, index));
    }
    return double(*integer(index));
}

const std::string * gguf_value::text(uint64_t index) const {
    return type == GGUF_TYPE_STRING && index < strings.size() ? &strings[index] : nullptr;
}

static gguf_type read_type(gguf_reader & reader, const std::string & key) {
    const uint64_t start = reader.position();
    const uint32_t type  = reader.read_u32("a value type");
    if (type >= GGUF_TYPE_COUNT) {
        gguf_fail("file.corrupt", reader.path(),
                  "key '" + utf8_quote(key) + "' has value type " + std::to_string(type) + " at offset " + std::to_string(start) +
                      "; known are 0 to " + std::to_string(GGUF_TYPE_COUNT - 1),
                  { { "offset", start }, { "type", type } });
    }
    return gguf_type(type);
}

static void read_array_header(gguf_reader & reader, const std::string & key, gguf_value & value) {
    value.array = true;
    value.type  = read_type(reader, key);
    const uint64_t start = reader.position();
    value.count          = reader.read_u64("an array length");
    if (value.type == GGUF_TYPE_ARRAY) {
        gguf_fail("file.corrupt", reader.path(), "key '" + utf8_quote(key) + "' is an array of arrays, which no model uses",
                  { { "offset", start } });
    }
    if (value.count > GGUF_MAX_ARRAY_LENGTH) {
        gguf_fail("file.corrupt", reader.path(),
                  "key '" + utf8_quote(key) + "' claims an array of " + std::to_string(value.count) + " elements at offset " +
                      std::to_string(start) + "; the limit is " + std::to_string(GGUF_MAX_ARRAY_LENGTH),
                  { { "offset", start }, { "length", value.count } });
    }
}

static gguf_value read_value(gguf_reader & reader, const std::string & key) {
    gguf_value value;
    value.type = read_type(reader, key);
    if (value.type == GGUF_TYPE_ARRAY) {
        read_array_header(reader, key, value);
    }
    if (value.type == GGUF_TYPE_STRING) {
        reader.need(value.count * 8, "a string array");  // every string takes at least its length field
        value.strings.reserve(size_t(value.count));
        for (uint64_t i = 0; i < value.count; ++i) {
            value.strings.push_back(reader.read_string(GGUF_MAX_STRING_BYTES, "a string value"));
        }
        return value;
    }
    const uint64_t bytes = value.count * gguf_element_bytes(value.type);  // count <= 2^22
    reader.need(bytes, "a value");
    value.bytes.resize(size_t(bytes));
    if (bytes > 0) {
        reader.read(value.bytes.data(), bytes, "a value");
    }
    return value;
}

std::vector<std::pair<std::string, gguf_value>> gguf_read_metadata(gguf_reader & reader, uint64_t count) {
    std::vector<std::pair<std::string, gguf_value>> metadata;
    std::unordered_set<std::string>                 seen;
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t    start = reader.position();
        const std::string key   = reader.read_string(GGUF_MAX_KEY_BYTES, "a metadata key");
        if (key.empty() || key.find('\0') != std::string::npos) {
            gguf_fail("file.corrupt", reader.path(), "metadata key " + std::to_string(i) + " at offset " + std::to_string(start) +
                      " is empty or holds a zero byte", { { "offset", start } });
        }
        if (!seen.insert(key).second) {
            gguf_fail("file.corrupt", reader.path(), "metadata key '" + utf8_quote(key) + "' is there twice, again at offset " +
                      std::to_string(start), { { "offset", start } });
        }
        metadata.emplace_back(key, read_value(reader, key));
    }
    return metadata;
}

}  // namespace moebius
