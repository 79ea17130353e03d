#include "layout-method.h"

#include "experts.h"
#include "experts/layout/background-thread.h"
#include "experts/layout/layout-order.h"
#include "inspect.h"
#include "load-progress.h"
#include "rpc/parameters.h"

#include <chrono>
#include <thread>

namespace moebius {

namespace {

// Copying goes on when the engine has been idle for so long: between two replies of a conversation, or of a series of requests, it does not begin.
constexpr auto quiet_before_copying = std::chrono::seconds(1);
constexpr auto look_every           = std::chrono::milliseconds(20);

json gain_to_json(const layout_gain & gain) {
    return { { "tokens", gain.tokens }, { "expertsPerToken", gain.chosen }, { "piecesByIndex", gain.pieces_by_index }, { "pieces", gain.pieces } };
}

// Tells how far the copying is, and holds it up while a reply is generated, a model is loaded or the machine is measured.
class layout_copying {
  public:
    layout_copying(const model_registry & registry, load_progress & progress, bool background) : registry(registry), progress(progress), background(background) {}

    // false: cancelled
    bool go_on(double fraction) {
        if (background && !registry.idle()) {
            auto quiet_since = std::chrono::steady_clock::now();
            while (std::chrono::steady_clock::now() - quiet_since < quiet_before_copying) {
                if (!progress.report("paused", fraction)) {
                    return false;
                }
                std::this_thread::sleep_for(look_every);
                if (!registry.idle()) {
                    quiet_since = std::chrono::steady_clock::now();
                }
            }
        }
        return progress.report("layout", fraction);
    }

  private:
    const model_registry & registry;
    load_progress &        progress;
    bool                   background;
};

}  // namespace

json write_layout(call & request, const json & params, const model_registry & registry) {
    parameters        source(params);
    const std::string path       = source.string("path", 1);
    const auto        trace      = source.optional_string("trace", 1);
    const bool        background = source.optional_boolean("background").value_or(false);
    load_progress     progress(request, source.optional_string("progressToken"));
    source.finish();
    const gguf_model    file   = gguf_open(path);
    const expert_layout layout = expert_layout_usable(file, inspect_model(file));
    if (layout.empty()) {
        throw user_error("request.invalid", path + " has no routed experts that the expert cache could read from a layout file.", { { "parameter", "path" } });
    }
    const std::string to     = layout_path_of(file);
    layout_orders     orders = layout_orders_by_index(layout);
    json              gain   = nullptr;
    uint64_t          bytes  = 0;
    layout_copying    copying(registry, progress, background);
    const auto        work = [&] {
        if (trace) {
            const routing_trace recorded = trace_read(*trace);
            orders                       = layout_orders_from(layout, recorded);
            gain                         = gain_to_json(layout_gain_of(layout, recorded));
        }
        bytes = layout_write(layout, layout_fingerprint(file, layout), orders, to, background ? layout_flush_background : layout_flush,
                             [&](uint64_t done, uint64_t total) { return copying.go_on(double(done) / double(total)); });
    };
    background ? run_in_background(work) : work();
    if (bytes == 0) {
        request.throw_if_cancelled();
    }
    return { { "path", to }, { "bytes", bytes }, { "gain", std::move(gain) } };
}

}  // namespace moebius
