// Experts of one model on devices: each layer has slots there, a replica_controller decides what is in them, and a thread of its own
// copies experts in the background while batches are computed.
#pragma once

#include "device-slots.h"
#include "expert-storage.h"
#include "layer-copies.h"
#include "experts/policy/replica-controller.h"

#include <condition_variable>
#include <deque>
#include <thread>

namespace moebius {

struct device_budget {
    ggml_backend_dev_t device = nullptr;
    uint64_t           bytes  = 0;  // for slots
};

struct device_tier_settings {
    uint32_t                    window = 32;    // tokens between two decisions on a layer
    bool                        adapts = true;  // false: what was placed at first stays
    replica_controller_settings replicas;

    device_tier_settings() { replicas.most_copies = 8; }
};

// Slots of every layer, and the memory that somebody gave for them.
struct device_room {
    std::vector<uint64_t>              bytes;  // [devices]
    std::vector<std::vector<uint32_t>> slots;  // [devices][layers]
};

// As device_slots_for.
device_room device_room_for(const expert_layout & layout, const std::vector<uint64_t> & bytes);

// Where a layer's experts are, for one batch.
struct device_placement {
    layer_placement                    copies;  // [experts], those that are whole
    std::vector<std::vector<uint32_t>> slots;   // [devices][experts], where there is a copy
};

struct device_counters {
    uint64_t tokens       = 0;  // of experts that it computed: one for each token and expert
    uint64_t copied       = 0;  // experts
    uint64_t bytes_copied = 0;
};

class device_tier {
  public:
    // held: types and sizes of experts in slots, those of the source or fewer bits (low_precision_layout). beside: another tier on the same devices. All of them outlive it.
    // Throws model.does-not-fit, request.invalid (more than devices_most).
    device_tier(expert_storage & source, const expert_layout & held, const std::vector<device_budget> & budgets, const device_tier_settings & settings = {}, const device_tier * beside = nullptr);
    ~device_tier();

    const expert_layout & layout() const { return held; }
    uint32_t       size() const { return uint32_t(devices.size()); }
    device_slots & device(uint32_t index) { return *devices[index]; }
    const device_slots & device(uint32_t index) const { return *devices[index]; }

    // --- before the first batch, in this order

    // Copies what the placement for an even load wants. `go_on` hears bytes of bytes; false stops, and false is returned.
    // Throws file.unreadable.
    bool fill(const std::function<bool(uint64_t, uint64_t)> & go_on);
    // As layer_rig has them: a faster one gets more of the load, and of equally good ones the one with the cheaper link.
    void set_speeds(const std::vector<double> & speeds, const std::vector<double> & links);
    // From now on copies change.
    void start();

    // --- one batch in one layer, by one thread, one at a time

    // tokens: [experts] of the batch, and which they are. Slots of the layer stay as they are until `end`.
    device_placement begin(uint32_t layer, const std::vector<uint32_t> & tokens, const token_routes & routes);
    // tokens: [devices], what each computed.
    void             end(uint32_t layer, const std::vector<uint32_t> & tokens);

    // --- any thread

    // See device_tier_settings::adapts.
    void set_adapts(bool adapts);
    bool adapts() const;

    // The device fails: nothing more is expected of it.
    void              give_up(uint32_t device);
    std::vector<bool> lost() const;  // [devices]

    // Experts [experts] of a layer that shall have no copies, or empty: all may. Those that are there stay until their slot is wanted or goes.
    void keep_out(uint32_t layer, const std::vector<bool> & experts);

    // Other room; none: nothing more is computed there. Waits until the memory is as wanted; free slots are filled later, in the background.
    // Throws model.does-not-fit: a layer that has no room keeps the slots that it had.
    void        resize(device_room room);
    device_room room() const;

    std::vector<device_counters>                 counters() const;
    std::vector<uint64_t>                        budgets() const;    // [devices], as given
    std::vector<double>                          device_speeds() const;
    std::vector<double>                          device_links() const;
    uint32_t                                     slots(uint32_t layer, uint32_t device) const;
    std::vector<std::vector<device_set>>         placement() const;  // [layer][expert]
    layer_placement                              copies(uint32_t layer) const;
    uint32_t                                     moving() const;     // experts that are still to be copied
    std::string                                  error() const;      // of the last copy that failed

  private:
    struct layer_state {
        layer_copies copies;
        uint64_t     begun = 0, ended = 0;  // batches
        uint32_t     since_decision = 0;
        bool         due = false;  // a decision
        uint64_t     changes = 0;  // of what its controller may do
        bool         settling = false;  // decide until nothing more is to be copied: slots are new, or other experts may be in them
    };
    struct copy_task {
        uint32_t           layer;
        layer_copies::copy which;
    };

    layer_rig                rig_of(uint32_t layer) const;
    void                     run();
    bool                     decide_next(std::unique_lock<std::mutex> & lock);
    std::optional<copy_task> next_copy() const;
    void                     copy(std::unique_lock<std::mutex> & lock, const copy_task & task);
    void                     upload(const copy_task & task, uint32_t slot);
    void                     until_unused(std::unique_lock<std::mutex> & lock, const layer_state & state);
    void                     resize_all(std::unique_lock<std::mutex> & lock);
    void                     resize_layer(std::unique_lock<std::mutex> & lock, uint32_t layer, uint32_t device, uint32_t count);

    expert_storage &                           source;
    const expert_layout &                      held;
    device_tier_settings                       settings;
    std::vector<std::unique_ptr<device_slots>> devices;
    std::vector<uint64_t>                      given;  // [devices], bytes
    std::vector<replica_controller>            controllers;  // [layer], under `mutex`
    std::vector<double>                        speeds, links;  // [devices]
    mutable std::mutex                         mutex;
    std::condition_variable                    changed;      // there is something to do
    std::condition_variable                    batch_ended;  // in some layer; apart, or every batch would wake the thread that copies
    std::vector<layer_state>                   layers;
    std::vector<device_counters>               counted;
    std::vector<bool>                          given_up;  // [devices]
    std::mutex                                 resizing;   // one at a time
    std::optional<device_room>                 resize_to;
    std::exception_ptr                         resize_failure;
    std::string                                last_error;
    std::vector<uint8_t>                       staging, lowered;  // of the thread that copies: one matrix
    bool                                       closing = false;
    std::thread                                mover;
};

}  // namespace moebius
