#include "base-metadata.h"

namespace moebius {

user_error untrainable(const gguf_model & file, const std::string & what) {
    return user_error("model.unsupported", "This model cannot be trained: " + what + ".", { { "architecture", file.architecture() } });
}

float metadata_number(const gguf_model & file, const char * name, double fallback) {
    const gguf_value * value = file.find_hparam(name);
    return float(value ? value->number().value_or(fallback) : fallback);
}

}  // namespace moebius
