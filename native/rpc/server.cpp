#include "server.h"

#include "log.h"
#include "pipes.h"

#include <cstdlib>
#include <thread>

namespace moebius {

namespace {

constexpr auto wind_down_limit = std::chrono::milliseconds(1500);
constexpr auto flush_limit     = std::chrono::milliseconds(1000);

// Freeing a model can wait for a driver, and a client may stop reading; neither may keep this process alive.
class watchdog {
  public:
    explicit watchdog(int exit_code) : thread([this, exit_code] { watch(exit_code); }) {}

    ~watchdog() {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            done = true;
        }
        changed.notify_all();
        thread.join();
    }

  private:
    void watch(int exit_code) {
        std::unique_lock<std::mutex> lock(mutex);
        if (!changed.wait_for(lock, wind_down_limit, [this] { return done; })) {
            log_write(log_level::warn, "still busy after the end was asked for; leaving now");
            std::_Exit(exit_code);
        }
    }

    std::mutex              mutex;
    std::condition_variable changed;
    bool                    done = false;
    std::thread             thread;
};

}  // namespace

server::server(int input, writer & out, dispatcher & methods, std::function<void()> release)
    : input(input), out(out), methods(methods), release(std::move(release)) {
    methods.add("shutdown", lane::reader, [this](call & request, const json &) {
        ending      = true;
        shutdown_id = request.id;  // answered when everything is freed
        return std::nullopt;
    });
}

int server::run() {
    frame_parser      parser;
    std::vector<char> buffer(1 << 16);
    while (!ending) {
        const size_t size = pipe_read(input, buffer.data(), buffer.size());
        if (size == 0) {
            if (parser.inside_frame()) {
                log_write(log_level::warn, "stdin ended inside a message");
            }
            break;
        }
        parser.append(buffer.data(), size);
        while (!ending) {
            const auto event = parser.next();
            if (!event) {
                break;
            }
            take_event(*event);
        }
    }
    wind_down();
    return exit_code;
}

void server::take_event(const frame_event & event) {
    switch (event.kind) {
        case frame_event::kind_type::payload:
            methods.handle(event.text);
            break;
        case frame_event::kind_type::too_large:
            refuse(rpc_invalid_request, "The " + event.text + "; it was skipped.");
            break;
        case frame_event::kind_type::broken:
            refuse(rpc_parse_error, "Broken framing, the engine ends: " + event.text + ".");
            exit_code = 1;
            ending    = true;
            break;
    }
}

void server::refuse(rpc_number number, const std::string & message) {
    out.send_message(rpc_error_message(nullptr, number, user_error("request.invalid", message)));
}

void server::wind_down() {
    const watchdog limit(exit_code);
    methods.stop();
    release();
    if (!shutdown_id.is_null()) {
        out.reply(shutdown_id, json::object());
    }
    if (!out.finish(flush_limit)) {
        std::_Exit(exit_code);
    }
}

}  // namespace moebius
