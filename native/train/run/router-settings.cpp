#include "router-settings.h"

#include "train/graph/counter-random.h"

namespace moebius {

namespace {

constexpr int64_t most_experts_used = 1024;

router_gradient gradient_named(const std::string & name) {
    return name == "sparse-mixer" ? router_gradient::sparse_mixer : name == "default-moe" ? router_gradient::default_moe : router_gradient::straight_through;
}

[[noreturn]] void refuse(const char * setting, const std::string & why) {
    throw user_error("request.invalid", why, { { "parameter", setting } });
}

void check_gradient(const router_settings & settings, const base_shape & shape, const routed_run & run) {
    const bool        draws = settings.gradient == router_gradient::sparse_mixer;
    const std::string name  = std::string("The router gradient \"") + (draws ? "sparse-mixer" : "default-moe") + "\"";
    if (settings.gradient == router_gradient::straight_through) {
        return;
    }
    if (!run.trains_router) {
        refuse("routerGradient", name + " is of routers that are trained, and none is. Name adapter.router or adapter.wholeRouter, or leave routerGradient out.");
    }
    if (shape.scores == scoring::sigmoid) {
        refuse("routerGradient", name + " is of routers with a softmax over all experts, and this model's have sigmoids. Leave routerGradient out.");
    }
    if (draws && shape.expert_groups > 1) {
        refuse("routerGradient", name + " draws from all experts, and this model chooses within " + std::to_string(shape.expert_groups_used) + " of " + std::to_string(shape.expert_groups) +
                                     " groups of them. Leave routerGradient out, or take \"default-moe\".");
    }
    if (run.is_dpo) {
        refuse("routerGradient", name + " changes what the model computes in steps, and the objective \"dpo\" compares that with the base. Leave routerGradient out.");
    }
    if (!draws && run.is_mixture) {
        refuse("routerGradient", name + " needs each expert's output by itself, and those of a mixture share their last product. Leave routerGradient out, or take \"sparse-mixer\".");
    }
}

void check_used_counts(const used_count_settings & settings, const base_shape & shape) {
    if (settings.least == 0) {
        return;
    }
    if (shape.experts == 0) {
        refuse("expertUsedCount", "This model has no experts of which a token could use " + std::to_string(settings.least) + " to " + std::to_string(settings.most) + ". Leave expertUsedCount out.");
    }
    const int64_t most = shape.experts / shape.expert_groups * shape.expert_groups_used;
    if (settings.most > most) {
        throw user_error("request.invalid", "A token of this model can use at most " + std::to_string(most) + " experts, not " + std::to_string(settings.most) + ". Lower expertUsedCount.max.",
                         { { "parameter", "expertUsedCount.max" }, { "have", most }, { "need", settings.most } });
    }
}

}  // namespace

const char * router_gradient_name(router_gradient gradient) {
    return gradient == router_gradient::sparse_mixer ? "sparse-mixer" : gradient == router_gradient::default_moe ? "default-moe" : "straight-through";
}

router_settings router_settings_of(parameters & source) {
    router_settings settings;
    if (const json * wanted = source.optional_object("routerGradient")) {
        parameters of(*wanted, "settings.routerGradient");
        settings.gradient = gradient_named(of.optional_choice("kind", { "straight-through", "sparse-mixer", "default-moe" }).value_or("straight-through"));
        const auto reach = of.optional_number("reach", 0, 1), beta = of.optional_number("beta", 0, 0.9999);
        if (reach && settings.gradient != router_gradient::sparse_mixer) {
            of.refuse("reach", "is of the kind \"sparse-mixer\"");
        }
        if (beta && settings.gradient != router_gradient::default_moe) {
            of.refuse("beta", "is of the kind \"default-moe\"");
        }
        settings.reach = reach.value_or(settings.reach);
        settings.beta  = beta.value_or(settings.beta);
        of.finish();
    }
    if (const json * wanted = source.optional_object("expertUsedCount")) {
        parameters of(*wanted, "settings.expertUsedCount");
        settings.used.least          = of.integer("min", 1, most_experts_used);
        settings.used.most           = of.integer("max", settings.used.least, most_experts_used);
        settings.used.validates_each = of.optional_boolean("validateEach").value_or(false);
        of.finish();
    }
    return settings;
}

void check_router_settings(const router_settings & settings, const base_shape & shape, const routed_run & run) {
    check_gradient(settings, shape, run);
    check_used_counts(settings.used, shape);
}

std::vector<int64_t> drawn_used_counts(const used_count_settings & settings, const base_shape & shape, uint64_t stream) {
    std::vector<int64_t> counts;
    const uint64_t       first   = random_stream(stream, "used experts of layers");
    const int64_t        choices = settings.most - settings.least + 1;
    for (int64_t layer = 0; layer < shape.layers && settings.least > 0; layer++) {
        counts.push_back(layer < shape.dense_layers ? 0 : settings.least + int64_t(random_unit(first + uint64_t(layer)) * double(choices)));
    }
    return counts;
}

}  // namespace moebius
