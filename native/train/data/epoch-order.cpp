#include "epoch-order.h"

#include <cassert>

namespace moebius {

namespace {

// The output function of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a bijection.
uint64_t scrambled(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

constexpr uint64_t golden = 0x9E3779B97F4A7C15u;

}  // namespace

epoch_order::epoch_order(uint64_t seed, uint64_t epoch, uint64_t examples) : examples(examples), half_bits(2) {
    assert(examples <= uint64_t(1) << 62);
    while (uint64_t(1) << (2 * half_bits) < examples) {
        half_bits++;
    }
    uint64_t state = scrambled(scrambled(seed + golden) ^ (epoch + golden));  // seed and epoch are not interchangeable
    for (uint64_t & key : keys) {
        state += golden;
        key = scrambled(state);
    }
}

uint64_t epoch_order::permuted(uint64_t value) const {
    const uint64_t half  = (uint64_t(1) << half_bits) - 1;
    uint64_t       left  = value >> half_bits;
    uint64_t       right = value & half;
    for (const uint64_t key : keys) {
        const uint64_t next = left ^ (scrambled(right * golden + key) & half);
        left                = right;
        right               = next;
    }
    return left << half_bits | right;
}

uint64_t epoch_order::example_at(uint64_t position) const {
    assert(position < examples);
    uint64_t value = permuted(position);
    while (value >= examples) {
        value = permuted(value);
    }
    return value;
}

}  // namespace moebius
