// Slots for experts in the memory of one device: for each layer and matrix a tensor [n_in, n_out, slots], which MUL_MAT_ID takes.
#pragma once

#include "expert-layout.h"
#include "experts/policy/slot-cache.h"

#include <ggml-cpp.h>

#include <atomic>
#include <mutex>

namespace moebius {

// Slots that `bytes` buy for each layer: the same number everywhere, the rest to the first layers; at most one an expert.
std::vector<uint32_t> device_slots_for(const expert_layout & layout, uint64_t bytes);

// Bytes of device memory that one expert of every layer takes.
uint64_t device_slot_bytes(const expert_layout & layout);

// Bytes of device memory that so many slots take.
uint64_t device_slots_bytes(const expert_layout & layout, const std::vector<uint32_t> & counts);

class device_slots {
  public:
    // counts: [layers]. `beside`: other slots on the same device, whose `use` keeps calls to these apart, too. Throws model.does-not-fit.
    device_slots(ggml_backend_dev_t device, const expert_layout & layout, const std::vector<uint32_t> & counts, const device_slots * beside = nullptr);

    ggml_backend_dev_t device() const { return where; }
    std::string        id() const { return ggml_backend_dev_name(where); }
    uint64_t           bytes() const { return allocated; }
    uint32_t           count(uint32_t layer) const { return layers[layer].count; }

    // Null: the layer has no slots here.
    ggml_tensor * matrix(uint32_t layer, uint32_t part) const { return layers[layer].count == 0 ? nullptr : layers[layer].parts[part]; }

    // Copies a matrix of an expert into a slot, in pieces between which `use` is let in. Nobody may be computing with the slot.
    void write(uint32_t layer, uint32_t slot, uint32_t part, const uint8_t * data);

    // Changes the number of a layer's slots, `moves` first. Nobody may be computing with the layer. Throws model.does-not-fit and leaves all as it was.
    void resize(uint32_t layer, uint32_t count, const std::vector<slot_move> & kept);

    // Calls to the device's driver hold it: not all take several at a time. Its holder goes before what is left of a `write`.
    class use {
      public:
        explicit use(device_slots & slots);

      private:
        std::unique_lock<std::mutex> lock;
    };

  private:
    struct layer_slots {
        uint32_t                 count = 0;
        ggml_context_ptr         context;
        ggml_backend_buffer_ptr  buffer;
        std::vector<ggml_tensor *> parts;
    };

    layer_slots allocate(uint32_t layer, uint32_t count) const;

    ggml_backend_dev_t       where;
    const expert_layout &    layout;
    std::vector<layer_slots> layers;
    std::atomic<uint64_t>    allocated{ 0 };
    struct driver_lock {
        std::mutex       mutex;
        std::atomic<int> urgent{ 0 };  // that wait for it
    };
    std::shared_ptr<driver_lock> driver;
};

}  // namespace moebius
