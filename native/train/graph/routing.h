// Inputs of a graph that say who goes to which expert.
#pragma once

#include "expert-groups.h"
#include "ops-rows.h"

#include <functional>

namespace moebius {

struct routing_inputs {
    // Declares the inputs for these assignments; fill() before every computation.
    routing_inputs(train_tape & tape, const expert_groups & groups);
    // The same before experts are chosen, for graphs of routers: every token gets `per_token` of them, and there are no groups.
    routing_inputs(train_tape & tape, int64_t tokens, int64_t per_token, int64_t experts);

    using writer = std::function<void(ggml_tensor * input, const void * data)>;
    void fill(const expert_groups & groups, const writer & write) const;

    row_map    tokens;   // rows: tokens, copies: assignments
    number_map weights;  // which of the router's numbers [experts, tokens] an assignment's is

    std::vector<expert_groups::group> groups;
    std::vector<int64_t>              counts;  // [groups] assignments

  private:
    void declare(train_tape & tape, int64_t assignments, int64_t tokens, int64_t per_token, int64_t experts);
};

}  // namespace moebius
