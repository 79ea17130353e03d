// The expert FFN of a batch over devices and the CPU: decides who computes what, and runs the devices' part.
#pragma once

#include "device-ffn.h"
#include "expert-ffn.h"
#include "experts/policy/layer-schedule.h"
#include "experts/store/device-tier.h"

namespace moebius {

class device_dispatch {
  public:
    // tokens: of the largest batch. What is given outlives it. Throws model.does-not-fit.
    device_dispatch(device_tier & tier, expert_source & source, uint32_t tokens);

    // Measures what the devices need, in some tenths of a second each, and tells the tier. Before the first batch.
    void measure();

    // --- one batch in one layer; by one thread, one at a time

    // The devices begin. What they compute gets id -1 in `batch`. False: a device failed. `finish` is due in any case.
    bool start(expert_batch & batch, row_view input);
    // Adds what the devices have computed to the rows of `output`, where the CPU's part is already. cpu_seconds: that it needed.
    // False: a device failed; the output is undefined.
    bool finish(row_view output, double cpu_seconds);

    // --- any thread

    std::vector<batch_cost> costs() const;  // [devices], the CPU last
    // Whether the CPU takes experts over from a device that ends later than it.
    void                    set_takes_over(bool takes);
    bool                    takes_over() const { return takes; }

    device_tier & tier;

  private:
    using shares_of_expert = std::vector<token_share>;

    batch_cost measure(uint32_t device);
    double     seconds_for(uint32_t device, uint32_t layer, uint32_t experts, uint32_t tokens);
    void       assign(expert_batch & batch, std::vector<shares_of_expert> & shares, const device_placement & placement);

    expert_source &                                source;
    uint32_t                                       tokens_most;
    std::vector<std::unique_ptr<device_ffn>>       ffns;
    std::vector<std::vector<device_assignment>>    work;    // [devices], of the batch
    std::vector<uint32_t>                          counts;  // [devices], its size
    uint32_t                                       layer   = 0;
    uint32_t                                       cpu_experts = 0, cpu_tokens = 0;  // of the batch
    bool                                           cpu_is_typical = false;           // it waits for no disk
    mutable std::mutex                             mutex;
    std::vector<batch_cost>                        device_cost;
    cost_model                                     cpu;
    std::atomic<bool>                              takes{ true };
};

}  // namespace moebius
