// Memory that a training run will take, known before any weight is read: whatever allocates is run on devices that count (graph/counting-device), the passes through a few layers that stand for all.
#pragma once

#include "example-sizes.h"
#include "model-sample.h"

namespace moebius {

// Bytes.
struct run_memory_split {
    uint64_t weights      = 0;  // of the base, without routed experts
    uint64_t experts      = 0;  // routed ones that are held, or the room that layers of them have in turns
    uint64_t adapter      = 0;  // trained numbers and their copies on the device
    uint64_t gradients    = 0;
    uint64_t optimiser    = 0;  // its moments
    uint64_t guardian     = 0;  // trained numbers and moments to go back to
    uint64_t layer_inputs = 0;  // kept of the forward pass for the backward pass
    uint64_t compute      = 0;  // activations that are kept, graphs and the host's numbers of the largest layer and of the head
    uint64_t saving       = 0;  // what a checkpoint is written from, as far as it is more than a batch's numbers, which are gone then
    uint64_t data         = 0;  // the batches of a step
    uint64_t reserved     = 0;  // for what runs beside it

    uint64_t sum() const { return weights + experts + adapter + gradients + optimiser + guardian + layer_inputs + compute + saving + data + reserved; }
};

struct run_device {
    std::string      id;
    run_memory_split memory;
    uint64_t         free  = 0;
    uint64_t         total = 0;  // 0: the device does not tell
};

struct run_memory {
    std::vector<run_device> devices;           // the CPU first, where all but routed experts are
    uint64_t                parameters   = 0;  // trained numbers
    bool                    is_least     = false;  // passes were not measured, for which a part of it is needed: all else is too much already
    int64_t                 kept_layers  = 0;      // whose activations are kept from forward to backward pass; those of the others are computed again
    uint64_t                on_disk      = 0;  // bytes of frozen experts that are not held, over all devices: they are read in turns

    uint64_t need() const;
    uint64_t have() const;
    // The first device that is too small, or null.
    const run_device * short_device() const;
};

// What a run's memory and time are estimated from.
struct run_outline {
    run_settings how;
    gguf_model   file;
    base_shape   shape;
    adapter      trained;  // without numbers
    pass_devices where;
};

// Reads no weights. Throws what gguf_open, base_shape_of, pass_devices_of and outlined_adapter do.
run_outline outline_of(const run_settings & how);

// The layers that stand for all, and the rooms of their experts: of a run whose experts are read in turns three, for which there is not room at once. Of `known` only on_disk counts.
model_sample             sample_for(const run_outline & run, const run_memory & known);
std::vector<copies_room> sample_rooms(const run_outline & run, const model_sample & sample, const run_memory & known);

// Throws what base_weights and expert_copies do. What passes take is measured by passes of a few layers that compute nothing.
run_memory estimate_run_memory(const run_outline & run, const planned_batches & batches);

}  // namespace moebius
