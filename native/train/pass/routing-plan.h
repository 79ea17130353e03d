// How the tokens of a batch come to their experts, and what routers learn of it (README, "Routers").
#pragma once

#include "stand-ins.h"
#include "train/graph/expert-draws.h"

namespace moebius {

// What is learnt of the choice, which has no derivative: nothing; or its effect on the loss, estimated by draws; or what the others might have given.
enum class router_gradient { straight_through, sparse_mixer, default_moe };

struct routing_plan {
    std::vector<int64_t> experts_used = {};  // [layers] by a token, of layers that are routed; none: as the base has it
    router_gradient      gradient     = router_gradient::straight_through;
    double               reach        = 0;        // of sparse_mixer, as draw_experts'
    stand_ins *          averages     = nullptr;  // of default_moe: they are used, and forward passes note what experts gave
};

// One layer's.
struct layer_routing {
    int64_t                    experts_used = 0;
    bool                       draws        = false;
    const std::vector<float> * averages     = nullptr;  // stand_ins::of_layer; null: none
};

}  // namespace moebius
