#include "dynamic-code.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace moebius {

namespace {

constexpr int     decades = 7;
constexpr int32_t dropped = 16;                            // bits of a float's 23 of fraction that don't choose a cell
constexpr int32_t bottom  = (127 - 23) << (23 - dropped);  // the cell of 2^-23: below are only numbers nearest to 0
constexpr int32_t cells   = (127 << (23 - dropped)) - bottom + 1;  // up to that of 1

// Cells of negative numbers come after all others. Without branches: a loop of these becomes vectors.
int32_t cell_of(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    int32_t cell = ((bits & 0x7fffffff) >> dropped) - bottom;
    cell         = cell < 0 ? 0 : cell;
    cell         = cell < cells ? cell : cells - 1;
    return cell + (bits < 0 ? cells : 0);
}

// The smallest magnitude in a cell.
float start_of(int32_t cell) {
    const int32_t bits = cell == 0 ? 0 : (cell + bottom) << dropped;
    float         x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

}  // namespace

dynamic_code::dynamic_code(size_t fractions, bool has_sign) {
    std::vector<float> found{ 0, 1 };
    for (double decade = 1; fractions >= 1 && found.size() < 256; decade /= 10, fractions /= 2) {
        for (size_t i = 0; i < fractions; i++) {
            const double value = decade * (0.1 + 0.9 * (double(i) + 0.5) / double(fractions));  // middles of equal parts of a decade
            found.push_back(float(value));
            if (has_sign) {
                found.push_back(float(-value));
            }
        }
    }
    std::sort(found.begin(), found.end());
    std::copy(found.begin(), found.end(), values.begin());
    for (size_t i = 0; i + 1 < 256; i++) {
        upper[i] = float((double(values[i]) + double(values[i + 1])) / 2);
    }
    upper[255] = std::numeric_limits<float>::infinity();
    if (!has_sign) {
        upper[0] = 0;
    }
    for (int32_t cell = 0; cell < 2 * cells; cell++) {
        const int32_t of     = cell % cells;
        // its lowest number: of negative ones that of the greatest magnitude
        const float    least = cell < cells ? start_of(of) : of + 1 == cells ? -1.0f : -start_of(of + 1);
        lowest.push_back(uint8_t(std::lower_bound(upper.begin(), upper.end(), least) - upper.begin()));
    }
}

const dynamic_code & dynamic_code::with_sign() {
    static const dynamic_code code(size_t(1) << (decades - 1), true);
    return code;
}

const dynamic_code & dynamic_code::without_sign() {
    static const dynamic_code code(size_t(1) << decades, false);
    return code;
}

void dynamic_code::nearest(const float * __restrict x, uint8_t * __restrict codes, size_t n) const {
    const uint8_t * const table = lowest.data();
    constexpr size_t at_once = 256;
    int32_t          of[at_once];
    for (size_t begin = 0; begin < n; begin += at_once) {
        const size_t count = std::min(at_once, n - begin);
        for (size_t i = 0; i < count; i++) {
            of[i] = cell_of(x[begin + i]);
        }
        for (size_t i = 0; i < count; i++) {
            const uint8_t low = table[of[i]];
            codes[begin + i]  = uint8_t(low + (x[begin + i] > upper[low]));
        }
    }
}

uint8_t dynamic_code::nearest(float x) const {
    uint8_t code;
    nearest(&x, &code, 1);
    return code;
}

}  // namespace moebius
