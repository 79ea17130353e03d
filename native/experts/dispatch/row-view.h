// Rows of floats at any stride.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moebius {

struct row_view {
    char * data   = nullptr;
    size_t stride = 0;  // bytes

    float * row(int64_t i) const { return reinterpret_cast<float *>(data + size_t(i) * stride); }
};

}  // namespace moebius
