// The modes that trade accuracy for reads: experts that would have to be read and matter little to their tokens are computed in fewer bits, or left out. Off until
// settings turn them on; every use is counted.
#pragma once

#include "experts/policy/miss-substitutes.h"
#include "low-precision-copies.h"

namespace moebius {

struct lossy_settings {
    struct low_precision {
        std::string type  = "q2_k";  // of low_precision_names()
        double      above = 1.0;     // miss_thresholds::low
        double      ram_share = 0.2;  // of the RAM for experts, for copies
    };
    std::optional<low_precision> low;
    std::vector<double>          skip_above;   // [layers] miss_thresholds::skip; empty: nothing is left out
    std::optional<double>        skip_budget;  // that they were chosen for, see sensitivity.h

    bool off() const { return !low && skip_above.empty(); }
};

// How many assignments (an expert of a token in a layer) were computed how.
struct lossy_uses {
    uint64_t assignments = 0;
    uint64_t low         = 0;
    uint64_t skipped     = 0;

    void add(const lossy_uses & more) {
        assignments += more.assignments;
        low += more.low;
        skipped += more.skipped;
    }
};

struct lossy_layer_counters : lossy_uses {
    uint64_t bytes_not_read = 0;  // of experts in full precision; what was read in fewer bits instead is bytes_read of lossy_status
};

enum class low_precision_state { off, writing, ready, failed };

struct lossy_status {
    lossy_settings                    settings;
    std::vector<lossy_layer_counters> layers;
    low_precision_state               state = low_precision_state::off;
    double                            written = 0.0;  // share of the file, while it is written
    std::string                       problem;        // why it failed
    std::string                       path;           // of the file
    uint64_t                          ram_bytes  = 0;  // of copies
    uint64_t                          bytes_read = 0;  // of copies
};

class lossy_experts {
  public:
    // `full` outlives it, and has all the RAM for experts until copies take their share.
    explicit lossy_experts(expert_storage & full);
    ~lossy_experts();  // a file that is being written is left

    // --- any thread

    // file: of settings.low, if that is on. One that is not usable yet is written in the background; until it is there experts are read in full. Throws
    // request.invalid, model.does-not-fit (the settings are as they were), file.* (there are no copies).
    void set(const lossy_settings & wanted, const std::optional<low_precision_file> & file);
    // All RAM for experts, from now on. Throws model.does-not-fit.
    void         resize(uint64_t ram_bytes);
    uint64_t     slot_bytes() const;  // of full ones and copies
    uint64_t     least_bytes() const;
    lossy_status status() const;
    void         restart_counters();
    bool         active() const { return is_active.load(std::memory_order_relaxed); }

    // --- one batch in one layer, by one thread at a time (hold the session of `full`)

    // Decides about the batch with all its ids. Those that are left out or computed in fewer bits get id -1 in it; `copied` [experts]: devices have them.
    // Gives the batch that is to be computed with copies(); null: nothing is.
    const expert_batch *   substitute(expert_batch & batch, const std::vector<bool> & copied);
    low_precision_copies * copies() const { return in_use.get(); }
    // The copies cannot be read: none are used from now on.
    void give_up_copies(const std::string & why);

    // --- the thread that evaluates batches

    void begin_batch();
    // Since begin_batch, of each of its tokens; outputs: indices of those whose logits are asked, ascending, which are all that the last layer may see.
    std::vector<lossy_uses> uses_of_tokens(uint32_t tokens, const std::vector<uint32_t> & outputs) const;

  private:
    uint64_t copies_bytes(const lossy_settings::low_precision & low, const expert_layout & layout, uint64_t total) const;
    void     begin_copies(const low_precision_file & file);
    void     stop_writing();
    void     write(const low_precision_file & file);
    void     use_copies(const low_precision_file & file);
    void     drop_copies();
    void     share_ram();
    void     count(const expert_batch & batch, const std::vector<expert_precision> & how);
    void     note(low_precision_state now, const std::string & problem = "");

    expert_storage &                      full;
    std::mutex                            configuring;  // set, resize
    std::mutex                            sharing;      // `total`, `in_use` and the RAM of both change; after `configuring`
    uint64_t                              total;
    std::shared_ptr<low_precision_copies> in_use;  // replaced under `sharing` and the session of `full`
    lossy_settings                        current;  // under the session of `full` and `mutex`
    std::atomic<bool>                     is_active{ false }, stopping{ false };
    std::atomic<double>                   written{ 0.0 };
    std::thread                           writer;

    mutable std::mutex                    mutex;  // the rest
    std::vector<lossy_layer_counters>     counted;
    low_precision_state                   state = low_precision_state::off;
    std::string                           problem, path;

    struct layer_log {
        std::vector<expert_precision> how;
        int64_t                       used = 0;
    };
    std::vector<layer_log> log;  // [layers], since begin_batch
    expert_batch           low_batch;
};

}  // namespace moebius
