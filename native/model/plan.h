// The method plan.make: where a model would go on this machine or on a described one, the memory it would take, and how fast it would be.
#pragma once

#include "estimate.h"
#include "plan-request.h"
#include "plan-turn.h"

#include <mutex>

namespace moebius {

// Keeps what it has measured of this machine.
class planner {
  public:
    // PlanParameters -> PlanResult of main/engine/plan-protocol.ts. `check` is called between measurements and may throw.
    // Any thread; plans are made one after the other, or they would measure each other. Throws model.does-not-fit with need and have.
    json make(const json & params, const std::function<void()> & check);

  private:
    struct plan_model;
    struct plan_question;
    struct plan_answer {
        tier_plan       plan;
        memory_estimate memory;
        plan_machine    machine;
        plan_placement  placement;
        turn_forecast   turn;
        json            folding;  // null: it was not asked for
    };

    plan_answer                 answer_as_loaded(plan_question & question);
    plan_answer                 answer_with_best_split(plan_question & question);
    static void                 make_it_fit(plan_question & question, plan_rooms & rooms, const std::function<void()> & again);
    std::shared_ptr<node_timer> timer_of(ggml_backend_dev_t device, int32_t threads);
    batch_cost                  reads_of(const expert_layout & layout);
    plan_machine                machine_for(const plan_request & request, const plan_model & model, const std::vector<std::string> & gpus, bool from_disk);

    std::mutex                                         mutex;
    std::map<std::string, std::shared_ptr<node_timer>> timers;
    std::map<std::string, batch_cost>                  reads;  // by file
};

}  // namespace moebius
