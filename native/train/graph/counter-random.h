// Random numbers that are functions of what they are for: the same whenever, in whatever order and on whatever device they are asked for.
#pragma once

#include <cstdint>
#include <string>

namespace moebius {

// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): the bits of number x of its one stream.
inline uint64_t random_bits(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// [0, 1)
inline double random_unit(uint64_t x) { return double(random_bits(x) >> 11) * 0x1p-53; }

// Where the numbers of a name begin: number i is that of stream + i.
inline uint64_t random_stream(uint64_t seed, const std::string & name) {
    uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
    for (const char letter : name) {
        hash = (hash ^ uint8_t(letter)) * 0x100000001b3ull;
    }
    return random_bits(seed ^ hash);
}

}  // namespace moebius
