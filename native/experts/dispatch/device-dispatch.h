// The expert FFN of a batch over devices and the CPU: decides who computes what, and runs the devices' part.
//
// A device that fails is given up for good: the CPU computes what it had to, in the same batch, and everything from then on.
#pragma once

#include "device-fetch.h"
#include "device-ffn.h"
#include "dispatch-record.h"
#include "expert-ffn.h"
#include "low-copies.h"
#include "experts/policy/layer-schedule.h"
#include "experts/store/device-tier.h"

namespace moebius {

// Copies in low precision, and what came of them.
struct low_report {
    low_precision_choice           choice;
    uint32_t                       calibrated = 0, moving = 0;  // layers; copies that are still to be made
    std::vector<std::vector<bool>> experts;         // [layer][expert], those that are to be in low precision only
    std::vector<layer_placement>   copies;          // [layer][expert], in low precision
    std::vector<uint64_t>          bytes, tokens;   // [devices], of slots, and one for each token and expert that was computed with them since it was switched on
};

class device_dispatch {
  public:
    using on_cpu = std::function<bool(const expert_batch & batch, row_view input, row_view output)>;

    // tokens: of the largest batch. `source` outlives it. Throws model.does-not-fit, request.invalid.
    device_dispatch(expert_storage & source, const std::vector<device_budget> & budgets, uint32_t tokens);

    // Device memory beside the slots that a device with a budget takes.
    static uint64_t scratch_bytes(ggml_backend_dev_t device, const expert_layout & layout, uint32_t tokens) {
        return device_ffn::scratch_bytes(device, layout, tokens) + device_fetch::device_bytes(device, layout, tokens);
    }

    // Before the first batch: copies experts into the slots (device_tier::fill), measures what the devices need, in some tenths of a second each, and
    // lets copies change from then on. False: `go_on` said so. Throws file.unreadable, model.load-failed.
    bool begin(const std::function<bool(uint64_t, uint64_t)> & go_on);

    // --- one batch in one layer; by one thread, one at a time (hold expert_source::session)

    // The devices begin. What they compute gets id -1 in `batch`. `finish` is due in any case.
    void start(expert_batch & batch, row_view input);
    // Adds what the devices have computed to the rows of `output`, where the CPU's part is already; cpu_seconds: that it needed. What a
    // device failed to compute `compute` does. False: it failed, too.
    bool finish(row_view output, double cpu_seconds, const on_cpu & compute);

    // --- any thread

    // Other budgets, one per device; see device_tier::resize. Throws model.does-not-fit.
    void                     resize(const std::vector<uint64_t> & bytes);
    const dispatch_record &  seen() const { return record; }
    // Whether the CPU takes experts over from a device that would end later than it.
    void                     set_cpu_helps(bool helps) { helping = helps; }
    bool                     cpu_helps() const { return helping; }
    // Whether devices fetch experts that they have no copy of, where that lets a layer end earlier.
    void                     set_fetches(bool fetches) { fetching = fetches; }
    bool                     fetches() const { return fetching; }
    // Lossy: whether devices hold the least important experts in fewer bits, to have room for more copies of others (low_copies). Off, nothing is different from before.
    // Throws what low_copies does, model.does-not-fit.
    void                      set_low_precision(const std::optional<low_precision_choice> & choice);
    std::optional<low_report> low_precision() const;
    void                      set_adapts(bool adapts);

    device_tier tier;

  private:
    using clock            = std::chrono::steady_clock;

    // What one device does of the batch that runs with experts of one kind: copies, or fetched ones.
    struct lane_work {
        std::vector<device_assignment> assignments;
        uint32_t                       experts = 0, tokens = 0;

        void clear() {
            assignments.clear();
            experts = tokens = 0;
        }
    };
    struct lane {  // of one device
        std::unique_ptr<device_ffn>   ffn;      // null: it has no slots
        std::unique_ptr<device_fetch> fetcher;  // null with it
        lane_work                     copies, fetched;  // copies: in any precision
        std::vector<device_assignment> low;             // of the copies those in low precision
        uint32_t                      low_tokens = 0;
        bool                          runs = false, low_runs = false;
        bool                          failed = false;  // for good
    };

    batch_cost measure(uint32_t device);
    batch_cost measure_fetching(uint32_t device);
    void       measure_all();
    void       take_low(const low_precision_choice & choice);
    void       drop_low();
    void       start_copies(uint32_t device, row_view input);
    void       ensure_ffns(const std::vector<uint64_t> & bytes);
    std::vector<std::optional<batch_cost>> fetch_costs() const;
    lane_work * work_of(uint32_t share_device);
    void       assign(expert_batch & batch, const std::vector<token_share> & shares, const device_placement & placement, const device_placement & lower);
    bool       collect(uint32_t device, bool done, device_batch & batch, row_view output, const on_cpu & compute);
    bool       finish_copies(uint32_t device, row_view output, const on_cpu & compute, double & busy);
    bool       finish_fetched(uint32_t device, row_view output, const on_cpu & compute, double & busy);

    expert_storage &         source;
    uint32_t                 tokens_most;
    dispatch_record          record;
    std::vector<lane>        lanes;
    uint32_t                 layer       = 0;  // of the batch that runs
    int64_t                  used        = 0;
    uint32_t                 cpu_experts = 0, cpu_tokens = 0;
    bool                     cpu_is_typical = false;  // it waits for no disk
    clock::time_point        began;
    std::atomic<bool>        helping{ true }, fetching{ true };
    std::mutex                  switching;    // of `low`, one at a time
    mutable std::mutex          low_mutex;    // of who reads it while no session is held
    std::unique_ptr<low_copies> low;          // changes within a session; null: off
};

}  // namespace moebius
