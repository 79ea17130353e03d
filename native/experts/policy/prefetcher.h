// What to read before it is asked for: takes what predictors propose, chooses, and watches what came of it. Pure: bookkeeping of one
// store under its lock; times are given.
#pragma once

#include "foresight-policy.h"
#include "prefetch-control.h"
#include "slot-cache.h"

#include <memory>
#include <optional>

namespace moebius {

// Of one predictor in one layer. Counted for batches, when they reach the layer.
struct prefetch_counters {
    uint64_t uses   = 0;  // experts that batches used for which the predictor had proposed some
    uint64_t right  = 0;  // of them, among as many as were used that it held most probable: right / uses is its recall
    uint64_t read   = 0;  // experts read ahead
    uint64_t used   = 0;  // of them, in time
    uint64_t late   = 0;  // of them, used while still on their way
    uint64_t wasted = 0;  // of them, not used by that batch
    uint64_t withdrawn = 0;  // experts that would have been, but the batch was there before the disk had begun, and did not use them

    prefetch_counters & operator+=(const prefetch_counters & other);
};

// On whose word experts were read ahead, and what came of it.
struct prefetch_report {
    const char *                   by = "";
    prefetch_control               control;
    std::optional<double>          saved, lost;  // seconds, see prefetch_outcome; open: nobody estimates it
    std::vector<prefetch_counters> layers;

    prefetch_counters total() const;
};

struct prefetch_read {
    uint32_t layer = 0;
    uint32_t expert = 0;
    uint32_t slot  = 0;
};

// A read for a batch that does not use the expert.
struct overtaken_read {
    uint32_t expert  = 0;
    uint32_t evicted = UINT32_MAX;  // expert that had to leave for it; UINT32_MAX: none
};

// A batch's use of an expert, as it was found.
enum class expert_found : uint8_t { here, coming, missing };
struct found_use {
    uint32_t     expert = 0;
    expert_found how    = expert_found::missing;
};

class prefetcher {
  public:
    prefetcher(uint32_t layers, uint32_t experts);

    // Off: nothing is proposed, chosen or learned. On again: as new.
    void set_on(bool on, double now);
    bool on() const { return is_on; }

    // Layers ahead for which the predictor is asked; 0: not at all.
    uint32_t depth(expert_predictor by) const { return is_on ? controls[size_t(by)].depth : 0; }

    // For the next batch that comes to `layer`, most probable first. In place of what the predictor proposed before for it.
    void propose(expert_predictor by, uint32_t layer, std::vector<foreseen_use> foreseen);

    // At most `most` experts that are worth reading now, those of the nearest layer first. They have slots of `cache`, not pinned.
    std::vector<prefetch_read> next(slot_cache & cache, uint32_t most, double now);

    // Reads that `next` gave for the batch which now reaches the layer, in vain, and that have not ended: one expert may have been read, have left, and be read once more.
    std::vector<overtaken_read> overtaken(uint32_t layer, const std::vector<expert_use> & uses) const;
    // Such a read was taken back before it had begun, and whoever had left is there again: as if it had not been.
    void withdrawn(uint32_t layer, uint32_t expert);

    // A batch has reached the layer; the cache has been told of the uses. What was proposed for it is done with.
    void reached(slot_cache & cache, uint32_t layer, const std::vector<expert_use> & uses, const std::vector<found_use> & found, double now);

    // A read is waited for from now on; it ends, and took so many seconds (0: part of it had been read ahead).
    void wanted(double now);
    void read(double now, double seconds);
    // The read of an expert that `next` gave has ended.
    void arrived(uint32_t layer, uint32_t expert, double now);
    // Threads had nothing to do but wait for the disk, summed over them.
    void stalled(double seconds) { stall += seconds; }

    prefetch_report report(expert_predictor by) const;
    void            restart_counters();

  private:
    struct proposal {
        bool                      given = false;
        std::vector<foreseen_use> foreseen;
    };
    struct reading {  // an expert read ahead, for the next batch of its layer
        expert_predictor by       = expert_predictor::router;
        uint32_t         distance = 1;
        uint32_t         expert   = 0;
        uint32_t         evicted  = UINT32_MAX;
        double           begun    = 0.0;
        double           begun_busy = 0.0;  // see busy_until
        double           free     = -1.0;   // seconds of its read in which nobody waited for another; negative: it has not ended

        bool ended() const { return free >= 0.0; }
    };
    struct state_of_predictor {
        prefetch_feedback              window;
        uint32_t                       quiet = 0;  // windows since the last judgement
        double                         saved = 0.0, lost = 0.0;
        std::vector<prefetch_counters> layers;
    };

    std::vector<double> chances(uint32_t layer) const;
    double     busy_until(double now) const;
    double     free_since(const reading & one, double now) const;
    void       blame(uint32_t layer, const std::vector<found_use> & found);
    proposal & proposed(expert_predictor by, uint32_t layer) { return proposals[size_t(by) * layers + layer]; }
    void       settle(uint32_t layer, const std::vector<found_use> & found, double now);
    void       count_recall(uint32_t layer, const std::vector<found_use> & found);
    void       propose_from_history(slot_cache & cache, uint32_t layer, const std::vector<expert_use> & uses);
    void       end_window(double now);

    uint32_t                          layers, experts;
    bool                              is_on   = false;
    uint32_t                          current = 0;  // layer that a batch reached last
    std::array<prefetch_control, expert_predictors>   controls;
    std::array<state_of_predictor, expert_predictors> states;
    std::vector<proposal>             proposals;   // [predictor][layer]
    std::vector<std::vector<reading>> under_way;   // [layer]
    std::unique_ptr<foresight_policy> history;     // while that predictor is asked and the cache's policy foresees nothing
    struct culprit {  // whose read in vain made an expert leave
        expert_predictor by       = expert_predictor::router;
        uint32_t         distance = 0;  // 0: nobody's
        uint64_t         batch    = 0;
    };
    std::vector<culprit>              culprits;      // [layer][expert]
    uint64_t                          batch_count = 0;
    uint32_t                          waited_for  = 0;    // reads
    double                            busy_before = 0.0;  // seconds in which reads were waited for, until waited_for was last 0
    double                            busy_since  = 0.0;
    double                            demand = 0.0;  // seconds that a read which is waited for takes, smoothed
    double                            stall  = 0.0, window_begun = 0.0;
    double                            busy   = 0.0;  // share of the last window in which threads waited for the disk
    uint32_t                          batches = 0;   // in this window
};

}  // namespace moebius
