// Dynamic quantisation to 8 bits (arXiv 2110.02861, data type of arXiv 1511.04561): of the numbers -1 to 1 seven decades are told apart, the
// smaller ones by fewer fractions, so that one block's scale serves numbers a million times apart. Here: the codes and the way to the nearest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace moebius {

struct dynamic_code {
    std::array<float, 256> values;  // ascending, the last is 1

    // Signed: -0.993 to 1, for first moments.
    static const dynamic_code & with_sign();
    // 0 to 1, twice as fine, for second moments. A number above 0 never becomes 0: its root divides.
    static const dynamic_code & without_sign();

    // The codes of the nearest of `values` (ties: the lower). x: n numbers, at most 1 in magnitude; of another (NaN) it is any code.
    void    nearest(const float * x, uint8_t * codes, size_t n) const;
    uint8_t nearest(float x) const;

  private:
    // fractions: of the topmost decade; each decade below has half as many.
    dynamic_code(size_t fractions, bool has_sign);

    std::array<float, 256> upper;   // x above upper[i] is nearer to values[i + 1]; the last is never reached
    std::vector<uint8_t>   lowest;  // by the leading bits of x, with sign: the lowest code that x can have; the highest is at most one more
};

}  // namespace moebius
