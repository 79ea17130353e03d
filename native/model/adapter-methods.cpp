#include "adapter-methods.h"

#include "adapter-load.h"
#include "rpc/parameters.h"

#include <limits>

namespace moebius {

namespace {

constexpr int64_t any_handle = std::numeric_limits<int32_t>::max();

model_lease take_model(parameters & source, const model_registry & registry) {
    return registry.lease(int32_t(source.integer("model", 0, any_handle)));
}

json load(const json & params, const model_registry & registry) {
    parameters        source(params);
    const model_lease model = take_model(source, registry);
    const std::string path  = source.string("path", 1);
    source.finish();
    return model->engine->adapters().add(load_adapter(*model, path));
}

json unload(const json & params, const model_registry & registry) {
    parameters        source(params);
    const model_lease model   = take_model(source, registry);
    const int32_t     adapter = int32_t(source.integer("adapter", 1, any_handle));
    source.finish();
    model->engine->drop_adapter(adapter);
    return json::object();
}

json list(const json & params, const model_registry & registry) {
    parameters        source(params);
    const model_lease model = take_model(source, registry);
    source.finish();
    return { { "adapters", model->engine->adapters().list() } };
}

}  // namespace

void add_adapter_methods(dispatcher & methods, model_registry & registry) {
    methods.add("adapter.load", lane::job, [&](call &, const json & params) { return load(params, registry); });
    methods.add("adapter.unload", lane::job, [&](call &, const json & params) { return unload(params, registry); });
    methods.add("adapter.list", lane::job, [&](call &, const json & params) { return list(params, registry); });
}

}  // namespace moebius
