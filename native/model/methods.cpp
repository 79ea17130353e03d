#include "methods.h"

#include "adapter-methods.h"
#include "devices.h"
#include "estimate.h"
#include "expert-methods.h"
#include "inspect.h"
#include "plan.h"
#include "remote/machines.h"
#include "rpc/parameters.h"
#include "tokenise.h"

#include <chrono>
#include <limits>

#ifdef _WIN32
#    include <process.h>
#    define getpid _getpid
#else
#    include <unistd.h>
#endif

namespace moebius {

namespace {

constexpr int protocol_version = 1;

int32_t take_model(parameters & source) {
    return int32_t(source.integer("model", 0, std::numeric_limits<int32_t>::max()));
}

void expect_nothing(const json & params) {
    parameters(params).finish();
}

json initialize(const json & params, const backend_set & backends) {
    parameters        source(params);
    const int64_t     protocol = source.integer("protocolVersion", 0, std::numeric_limits<int32_t>::max());
    const std::string expected = source.string("expectedLlamaVersion");
    source.finish();
    if (protocol != protocol_version) {
        throw user_error("engine.version",
                         "The engine speaks protocol version " + std::to_string(protocol_version) + ", the application version " +
                             std::to_string(protocol) + ". Build the engine of this version of the application.",
                         { { "loaded", protocol_version }, { "expected", protocol } });
    }
    check_llama_version(expected);
    json problems = json::array();
    for (const backend_problem & problem : backends.problems) {
        problems.push_back({ { "library", problem.library }, { "reason", problem.reason } });
    }
    return {
        { "engineVersion", engine_version() },
        { "protocolVersion", protocol_version },
        { "llamaVersion", llama_library_version() },
        { "backends", backends.names },
        { "backendProblems", std::move(problems) },
        { "processId", int64_t(getpid()) },
    };
}

std::string only_endpoint(const json & params) {
    parameters        source(params);
    const std::string endpoint = source.string("endpoint", 1);
    source.finish();
    return endpoint;
}

std::string take_path(parameters & source) {
    return source.string("path", 1);
}

gguf_model open_only_path(const json & params) {
    parameters        source(params);
    const std::string path = take_path(source);
    source.finish();
    return gguf_open(path);
}

json validate(const json & params) {
    const gguf_model file = open_only_path(params);
    return { { "files", file.files }, { "tensorCount", file.tensors.size() } };
}

json estimate(const json & params) {
    parameters        source(params);
    const std::string path    = take_path(source);
    const json *      options = source.optional_object("options");
    source.finish();
    const gguf_model   file       = gguf_open(path);
    const json         inspection = inspect_model(file);
    load_options       filled     = options_parse(options, inspection);
    const memory_estimate result  = fit_experts(file, inspection, filled);
    return estimate_to_json(result, filled, expert_layout_usable(file, inspection));
}

json load(call & request, const json & params, model_registry & registry) {
    parameters        source(params);
    const std::string path    = take_path(source);
    const json *      options = source.optional_object("options");
    const auto        token   = source.optional_string("progressToken");
    source.finish();
    return registry.load(request, path, options, token);
}

json unload(const json & params, model_registry & registry) {
    parameters    source(params);
    const int32_t model = take_model(source);
    source.finish();
    registry.unload(model);
    return json::object();
}

json tokenize(const json & params, const model_registry & registry) {
    parameters        source(params);
    const int32_t     model         = take_model(source);
    const std::string text          = source.string("text");
    const bool        add_special   = source.optional_boolean("addSpecial").value_or(false);
    const bool        parse_special = source.optional_boolean("parseSpecial").value_or(false);
    source.finish();
    const model_lease lease = registry.lease_texts(model);
    return { { "tokens", tokenise(lease->texts->vocabulary(), text, add_special, parse_special) } };
}

json detokenize(const json & params, const model_registry & registry) {
    parameters    source(params);
    const int32_t model = take_model(source);
    if (!source.has("tokens")) {
        source.refuse("tokens", "is missing");
    }
    const std::vector<llama_token> tokens = *source.optional_tokens("tokens");
    source.finish();
    const model_lease lease = registry.lease_texts(model);
    return { { "text", detokenise(lease->texts->vocabulary(), tokens) } };
}

json render_chat(const json & params, const model_registry & registry) {
    parameters    source(params);
    const int32_t model = take_model(source);
    const json &  chat  = source.object("chat");
    source.finish();
    return registry.lease_texts(model)->texts->render_chat(chat);
}

json encode_examples(const json & params, const model_registry & registry) {
    parameters    source(params);
    const int32_t model    = take_model(source);
    const json *  examples = source.optional_array("examples");
    if (!examples) {
        source.refuse("examples", "is missing");
    }
    const bool with_tokens = source.optional_boolean("withTokens").value_or(false);
    source.finish();
    return registry.lease_texts(model)->texts->encode_examples(*examples, with_tokens);
}

// The decoder checks all of the parameters; only the model is needed to find it.
model_lease lease_of(const json & params, const model_registry & registry) {
    parameters source(params);
    return registry.lease(take_model(source));
}

json ping(const json & params, const model_registry & registry, std::chrono::steady_clock::time_point start) {
    expect_nothing(params);
    const double uptime = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return { { "uptimeMilliseconds", uptime }, { "running", registry.running() } };
}

}  // namespace

void add_methods(dispatcher & methods, model_registry & registry, const backend_set & backends) {
    const auto start = std::chrono::steady_clock::now();
    methods.add("initialize", lane::reader, [&](call &, const json & params) { return initialize(params, backends); });
    methods.add("ping", lane::reader, [&, start](call &, const json & params) { return ping(params, registry, start); });
    methods.add("devices.list", lane::job, [](call &, const json & params) {
        expect_nothing(params);
        return devices_list();
    });
    methods.add("devices.addRemote", lane::job, [](call &, const json & params) {
        remote_add(only_endpoint(params));
        return remote_list();
    });
    methods.add("devices.removeRemote", lane::job, [](call &, const json & params) {
        remote_remove(only_endpoint(params));
        return remote_list();
    });
    methods.add("devices.listRemote", lane::job, [](call &, const json & params) {
        expect_nothing(params);
        return remote_list();
    });
    methods.add("model.validate", lane::job, [](call &, const json & params) { return validate(params); });
    methods.add("model.inspect", lane::job, [](call &, const json & params) { return inspect_model(open_only_path(params)); });
    methods.add("model.estimate", lane::job, [](call &, const json & params) { return estimate(params); });
    const auto plans = std::make_shared<planner>();
    methods.add("plan.make", lane::job, [plans, &registry](call & request, const json & params) {
        const model_registry::errand measuring(registry);
        return plans->make(params, [&] { request.throw_if_cancelled(); });
    });
    methods.add("model.load", lane::job, [&](call & request, const json & params) { return load(request, params, registry); });
    methods.add("model.unload", lane::job, [&](call &, const json & params) { return unload(params, registry); });
    methods.add("model.list", lane::job, [&](call &, const json & params) {
        expect_nothing(params);
        return registry.list();
    });
    add_expert_methods(methods, registry);
    add_adapter_methods(methods, registry);
    methods.add("model.tokenize", lane::job, [&](call &, const json & params) { return tokenize(params, registry); });
    methods.add("model.detokenize", lane::job, [&](call &, const json & params) { return detokenize(params, registry); });
    methods.add("chat.render", lane::job, [&](call &, const json & params) { return render_chat(params, registry); });
    methods.add("examples.encode", lane::job, [&](call &, const json & params) { return encode_examples(params, registry); });
    // these two only check and queue; the decoder replies
    methods.add("generate", lane::reader, [&](call & request, const json & params) {
        lease_of(params, registry)->engine->generate(request.id, params);
        return std::nullopt;
    });
    methods.add("model.logits", lane::reader, [&](call & request, const json & params) {
        lease_of(params, registry)->engine->logits(request.id, params);
        return std::nullopt;
    });
    methods.on_cancel([&](const json & id) { registry.cancel(id); });
}

}  // namespace moebius
