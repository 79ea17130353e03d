// A training run: steps of an adapter on a dataset, and everything that is needed to go on exactly where it was.
#pragma once

#include "train/descent/gradients.h"
#include "train/descent/guardian.h"
#include "train/data/packing.h"
#include "first-updates.h"
#include "going-on.h"

#include <optional>

namespace moebius {

// Means over pairs. Rewards: preference.h.
struct preference_report {
    double accuracy = 0;  // share of pairs whose chosen answer has the higher reward
    double margin = 0, chosen_reward = 0, rejected_reward = 0;
};

preference_report report_of(const preference_sums & sums);

struct step_report {
    int64_t          step = 0;  // from 1, this one
    double           loss = 0;  // of its supervised tokens, weighted mean; or over its pairs
    double           balance = 0, z = 0;  // the router's losses, mean of its batches
    double           learning_rate = 0;
    double           gradient_norm = 0;  // before clipping
    int64_t          tokens = 0, targets = 0;
    double           fill    = 0;  // of its batches
    uint64_t         epoch   = 0;
    double           seconds = 0;
    guardian_verdict verdict;
    std::vector<std::vector<int64_t>> expert_tokens;  // [layers][experts], summed over its batches
    expert_copies_report              copies;         // as the next step finds them, and what was computed and written since the step before
    std::vector<std::vector<int64_t>> learnt_tokens;  // the same, of those that the loss depends on
    int64_t                           attending = 0;  // attending_tokens of its batches
    std::vector<unmoved_part>         unmoved;        // by the first updates: what should have moved (first-updates.h)
    std::optional<preference_report>  preference;
    std::vector<int64_t>              used_counts;    // [layers] experts that a token used, where they were drawn
};

// What a checkpoint has (checkpoint.h).
struct run_state {
    run_origin      origin;
    int64_t         step = 0;  // done
    packing_cursor  cursor;
    guardian_state  guardian;
    optimiser_state optimiser;
    std::vector<train_parameter> parameters;  // without gradients
    std::vector<std::vector<float>> stand_ins;  // [layers], of default-moe
    expert_choice   chosen;
};

struct validation_report {
    struct with_count {
        int64_t used_count = 0;
        double  loss       = 0;
    };
    double  loss    = 0;  // mean over supervised tokens, or over pairs
    int64_t targets = 0;
    double  seconds = 0;
    std::optional<preference_report> preference;
    std::vector<with_count>          by_used_count;  // if asked for: each number of experts that steps draw
};

struct tensor_movement {
    std::string         tensor;  // of the base, or a mixture's router
    std::vector<double> norms;   // [experts]; one, if it is no stack
};

class train_run {
  public:
    // settings: with_chosen_experts. Reads the base. Throws what gguf_open, base_shape_of, base_weights, new_adapter, dataset_file and packing throw; request.invalid for data of another vocabulary.
    explicit train_run(const run_settings & settings);

    const adapter &      trained() const { return adapted; }
    const run_settings & settings() const { return how; }
    uint64_t             examples() const { return data.examples(); }
    bool                 has_validation() const { return validation.has_value(); }
    bool                 done() const { return steps >= how.schedule.steps; }
    int64_t              step_count() const { return steps; }
    size_t               optimiser_bytes() const { return descent.bytes(); }

    // The next step; not when done(). go_on: asked between batches; false: nothing (the step is as if it had not begun).
    std::optional<step_report> step(const std::function<bool()> & go_on);

    // Of the whole validation part (validation.cpp). Nothing: stopped, or there is none.
    std::optional<validation_report> validate(const std::function<bool()> & go_on);

    // What it is given back by `restore`; and from now on what a guardian goes back to, so that both runs go on alike.
    run_state state();
    // Throws request.invalid, file.corrupt for a state of another run; that its settings are those of this one is for the caller to see (refuse_other_settings).
    void restore(run_state state);

    // How far everything is from the base: of each adapted tensor each of its experts (adapter_norms; 0 of those that are not adapted), then whole tensors (whole_distance). Throws file.unreadable.
    std::vector<tensor_movement> movement() const;

  private:
    struct good_state {
        optimiser_state                 optimiser;
        std::vector<std::vector<float>> values;     // [parameters]
        std::vector<std::vector<float>> stand_ins;  // [layers]
    };

    pass_result learn(packed_batch & packed, double whole, const router_loss_factors & factors, uint64_t stream, preference_sums & pairs, const routing_plan & plan);
    std::optional<validation_report> validate_with(const std::vector<int64_t> & used_counts, const std::function<bool()> & go_on);
    bool accumulate(step_report & report, const std::function<bool()> & go_on);
    void update(step_report & report);
    void follow(guardian_action action, step_report & report);
    void keep_good_state();
    void roll_back();

    const run_settings          how;
    gguf_model                  file;
    base_shape                  shape;
    dataset_file                data;
    const run_origin            origin;
    std::optional<dataset_file> validation;
    adapter                     adapted;
    train_pass                  pass;
    packing                     batches;
    optimiser                   descent;
    guardian                    watch;
    std::optional<stand_ins>    averages;  // of default-moe
    good_state                  good;
    int64_t                     good_at = 0;  // step
    int64_t                     steps   = 0;  // done
};

}  // namespace moebius
