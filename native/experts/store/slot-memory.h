// Page-aligned memory of a layer's slots; a page takes RAM when it is first written.
#pragma once

#include <cstdint>

namespace moebius {

class slot_memory {
  public:
    explicit slot_memory(uint64_t bytes);  // throws std::bad_alloc
    slot_memory(slot_memory && other) noexcept : base(other.base), bytes(other.bytes) { other.base = nullptr; }
    slot_memory & operator=(slot_memory &&) = delete;
    ~slot_memory();

    uint8_t * data() const { return base; }

  private:
    uint8_t * base;
    uint64_t  bytes;
};

// Address space that is never touched, for buffers whose tensors only need distinct addresses.
uint8_t * address_space_reserve(uint64_t bytes);  // throws std::bad_alloc
void      address_space_release(uint8_t * base, uint64_t bytes);

}  // namespace moebius
