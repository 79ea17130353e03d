#include "dispatcher.h"

#include "json-text.h"
#include "log.h"

#include <new>

namespace moebius {

namespace {

constexpr size_t job_thread_limit = 8;
// deeper JSON is refused, because code behind this point (schema conversion, dump) is recursive
constexpr int    nesting_limit    = 128;

bool nested_too_deep(const std::string & text) {
    int  depth     = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > nesting_limit) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

bool valid_id(const json & id) {
    return id.is_number_integer() || id.is_string();
}

}  // namespace

void call::throw_if_cancelled() const {
    if (cancelled) {
        throw user_error("cancelled", "The request was cancelled.");
    }
}

dispatcher::dispatcher(output & out) : out(out), pool(job_thread_limit) {}

void dispatcher::add(const std::string & method, lane where, method_handler handler) {
    methods[method] = { where, std::move(handler) };
}

void dispatcher::on_cancel(std::function<void(const json & id)> cancel_elsewhere) {
    this->cancel_elsewhere = std::move(cancel_elsewhere);
}

void dispatcher::handle(const std::string & payload) {
    const auto refuse = [this](const json & id, rpc_number number, const std::string & message) {
        out.send_message(rpc_error_message(id, number, user_error("request.invalid", message)));
    };
    if (nested_too_deep(payload)) {
        return refuse(nullptr, rpc_parse_error, "JSON is nested deeper than " + std::to_string(nesting_limit) + " levels.");
    }
    json message;
    try {
        message = json_parse(payload);
    } catch (const json::exception & error) {
        return refuse(nullptr, rpc_parse_error, std::string("Not valid JSON: ") + error.what());
    }
    if (!message.is_object()) {
        return refuse(nullptr, rpc_invalid_request, "A message must be one JSON object; batches are not supported.");
    }
    const bool has_id = message.contains("id");
    const json id     = has_id && valid_id(message["id"]) ? message["id"] : json();
    if (message.value("jsonrpc", json()) != "2.0") {
        return refuse(id, rpc_invalid_request, "A message must have \"jsonrpc\": \"2.0\".");
    }
    if (!message.contains("method") || !message["method"].is_string()) {
        return refuse(id, rpc_invalid_request, "A message must have a method, a string.");
    }
    const std::string method = message["method"];
    const json        params = message.value("params", json::object());
    if (!has_id) {
        return handle_notification(method, params);
    }
    if (id.is_null()) {
        return refuse(id, rpc_invalid_request, "A request's id must be an integer or a string.");
    }
    handle_request(id, method, params);
}

void dispatcher::handle_request(const json & id, const std::string & method, const json & params) {
    if (!initialized && method != "initialize") {
        const user_error error("request.invalid", "The first request must be 'initialize', not '" + method.substr(0, 100) + "'.");
        return out.send_message(rpc_error_message(id, rpc_not_initialized, error));
    }
    if (initialized && method == "initialize") {
        const user_error error("request.invalid", "'initialize' was already done.");
        return out.send_message(rpc_error_message(id, rpc_invalid_request, error));
    }
    const auto found = methods.find(method);
    if (found == methods.end()) {
        return out.fail(id, user_error("request.unknown-method", "There is no method '" + method.substr(0, 100) + "'."));
    }
    if (found->second.where == lane::job) {
        return start_job(id, found->second, params);
    }
    call now(id, out);
    if (serve(now, found->second, params)) {
        initialized = true;
    }
}

void dispatcher::handle_notification(const std::string & method, const json & params) {
    if (method == "$/cancelRequest" && params.is_object() && params.contains("id")) {
        return cancel(params["id"]);
    }
    log_write(log_level::debug, "ignored notification '" + method.substr(0, 100) + "'");
}

// true when the handler did not throw
bool dispatcher::serve(call & job, const method_entry & entry, const json & params) {
    try {
        job.throw_if_cancelled();
        if (std::optional<json> result = entry.handler(job, params)) {
            out.reply(job.id, std::move(*result));
        }
        return true;
    } catch (const user_error & error) {
        out.fail(job.id, error);
    } catch (const std::bad_alloc &) {
        out.fail(job.id, user_error("internal", "The engine ran out of memory for this request."));
    } catch (const std::exception & error) {
        out.fail(job.id, user_error("internal", std::string("Internal error: ") + error.what()));
    }
    return false;
}

void dispatcher::start_job(const json & id, const method_entry & entry, const json & params) {
    const auto job = std::make_shared<call>(id, out);
    {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!jobs.emplace(json_text(id), job).second) {
            const user_error error("request.invalid", "A request with id " + json_text(id) + " is still running.");
            return out.send_message(rpc_error_message(id, rpc_invalid_request, error));
        }
    }
    // `entry` lives as long as the table
    pool.run([this, job, &entry, params] {
        const bool served = serve(*job, entry, params);
        finish_job(*job, served);
    });
}

// A cancel that came while the handler ran found nobody elsewhere who knew the id: pass it on now.
void dispatcher::finish_job(const call & job, bool handed_over) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        jobs.erase(json_text(job.id));
    }
    if (handed_over && job.cancelled) {
        cancel_elsewhere(job.id);
    }
}

void dispatcher::cancel(const json & id) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto found = jobs.find(json_text(id));
        if (found != jobs.end()) {
            found->second->cancelled = true;
        }
    }
    cancel_elsewhere(id);
}

void dispatcher::stop() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        for (auto & [id, job] : jobs) {
            job->cancelled = true;
        }
    }
    pool.stop();
}

}  // namespace moebius
