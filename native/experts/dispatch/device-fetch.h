// Experts that a device has no copy of, fetched from RAM for one batch: into guest slots in turn, so that the next one is on its way while the device
// computes with the last (HybriMoE's third choice, arXiv 2504.05897; transfers in pieces beside the computing as in Comet, arXiv 2502.19811).
#pragma once

#include "device-ffn.h"
#include "experts/store/expert-storage.h"

#include <condition_variable>
#include <thread>

namespace moebius {

class device_fetch {
  public:
    // Memory on the device that the constructor takes.
    static uint64_t device_bytes(ggml_backend_dev_t device, const expert_layout & layout, uint32_t tokens);

    // tokens: of the largest batch. Shares the driver with `beside`. Both outlive it. Throws model.does-not-fit.
    device_fetch(device_slots & beside, expert_storage & source, uint32_t tokens);
    ~device_fetch();

    // Starts to fetch and compute, on a thread of its own. `work` is sorted by token; of `input` [tokens][n_embd] it takes copies.
    void start(uint32_t layer, row_view input, std::vector<device_assignment> work);

    // Waits. False: the device failed or an expert could not be read; nothing of the work is to be used.
    bool wait();

    // That it computes, with the sums once `wait` has returned.
    device_batch batch;

    double seconds() const { return took; }  // of the last batch

  private:
    static constexpr uint32_t guests_at_a_time = 2;

    void run();
    bool compute();
    void upload(int32_t expert, uint32_t slot);

    expert_storage &         source;
    std::vector<uint32_t>    kinds;   // [layers], index into `guest_layout`
    expert_layout            guest_layout;  // a layer for each kind of experts that the model has
    device_slots             guests;
    device_ffn               ffn;
    transfer_memory<uint8_t> staging;  // one matrix
    uint32_t                 layer = 0;
    double                   took  = 0;

    std::mutex              mutex;
    std::condition_variable changed;
    enum { idle, due, done, failed, closing } state = idle;
    std::thread             worker;
};

}  // namespace moebius
