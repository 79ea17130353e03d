// Page-aligned memory that grows and shrinks in place; a page takes RAM when it is first written.
#pragma once

#include <cstdint>

namespace moebius {

class slot_memory {
  public:
    // Room for `bytes`, all of it usable unless `usable` says less. Throws std::bad_alloc.
    explicit slot_memory(uint64_t bytes) : slot_memory(bytes, bytes) {}
    slot_memory(uint64_t bytes, uint64_t usable);
    slot_memory(slot_memory && other) noexcept : base(other.base), bytes(other.bytes), usable(other.usable) { other.base = nullptr; }
    slot_memory & operator=(slot_memory &&) = delete;
    ~slot_memory();

    uint8_t * data() const { return base; }

    // Makes the first `bytes` usable; what lies behind them goes back to the system. Throws std::bad_alloc.
    void resize(uint64_t bytes);

  private:
    uint8_t * base;
    uint64_t  bytes;
    uint64_t  usable = 0;
};

// Address space that is never touched, for buffers whose tensors only need distinct addresses.
uint8_t * address_space_reserve(uint64_t bytes);  // throws std::bad_alloc
void      address_space_release(uint8_t * base, uint64_t bytes);

}  // namespace moebius
