// Rows of a base tensor with what was trained worked in.
#pragma once

#include "merge-plan.h"

#include <cstdint>

namespace moebius {

// Rows [first, first + count) of a stack of matrices seen as one of ne[1] * ne[2] rows.
struct row_block {
    int64_t first = 0, count = 0;
};

// from: the rows in the base's type (of a whole tensor, nothing is read); into: in the tensor's. Throws file.corrupt: a number that is not finite, or that F16 cannot hold.
void merge_rows(const merged_tensor & tensor, const adapter & trained, const row_block & rows, const uint8_t * from, uint8_t * into, uint32_t threads);

}  // namespace moebius
