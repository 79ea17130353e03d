// How a run's routers learn, and how many experts its tokens use (README, "Routers").
#pragma once

#include "rpc/parameters.h"
#include "train/base/base-shape.h"
#include "train/pass/routing-plan.h"

namespace moebius {

// Matryoshka (arXiv 2509.26520): least 0: tokens use as many as the base has it.
struct used_count_settings {
    int64_t least = 0, most = 0;
    bool    validates_each = false;  // validation with each number, too
};

struct router_settings {
    router_gradient     gradient = router_gradient::straight_through;
    double              reach    = 0.01;  // of sparse-mixer, as draw_experts'
    double              beta     = 0.9;   // of default-moe, as stand_ins'
    used_count_settings used;
};

const char * router_gradient_name(router_gradient gradient);

// Reads routerGradient and expertUsedCount. Throws user_error request.invalid, which names the setting.
router_settings router_settings_of(parameters & source);

// What a run needs to know of them. trains_router: a router or adapter of it; is_mixture: MixLoRA; is_dpo: learns from pairs.
struct routed_run {
    bool trains_router = false, is_mixture = false, is_dpo = false;
};

// shape: with a mixture's experts. Throws user_error request.invalid: what does not go together, or numbers that the model does not have.
void check_router_settings(const router_settings & settings, const base_shape & shape, const routed_run & run);

// Of a step: [layers] experts that a token uses, uniformly drawn for each layer by itself (the paper's best of several ways); 0 of layers that are not routed. Nothing, if they are not drawn.
// stream: where the step's numbers begin.
std::vector<int64_t> drawn_used_counts(const used_count_settings & settings, const base_shape & shape, uint64_t stream);

}  // namespace moebius
