// JSON-RPC 2.0: payload in, method called, reply out. One table of methods; each runs on the reader thread or on a job thread.
#pragma once

#include "job-pool.h"
#include "output.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace moebius {

// One request under way. Shared by the reader thread (which may cancel it) and the thread that serves it.
struct call {
    json              id;
    std::atomic<bool> cancelled{ false };
    output &          out;

    call(json id, output & out) : id(std::move(id)), out(out) {}

    void throw_if_cancelled() const;  // user_error `cancelled`
};

enum class lane {
    reader,  // on the reader thread: must answer at once
    job,     // on a job thread
};

// Gives the result, or nothing when somebody else will reply to call.id later. Throws user_error.
using method_handler = std::function<std::optional<json>(call &, const json & params)>;

class dispatcher {
  public:
    explicit dispatcher(output & out);

    // Before the first handle(). `initialize` must be on the reader lane; until it succeeds all others are refused (-32002).
    void add(const std::string & method, lane where, method_handler handler);

    // Called for every `$/cancelRequest`, on the reader thread, and again at the end of a job that was cancelled
    // while it was handing its request over to somebody else.
    void on_cancel(std::function<void(const json & id)> cancel_elsewhere);

    // Reader thread only. Never throws; whatever is wrong with the payload becomes an error reply.
    void handle(const std::string & payload);

    // Cancels what runs on job threads and waits for its end.
    void stop();

  private:
    struct method_entry {
        lane           where;
        method_handler handler;
    };

    void handle_request(const json & id, const std::string & method, const json & params);
    void handle_notification(const std::string & method, const json & params);
    void start_job(const json & id, const method_entry & entry, const json & params);
    void finish_job(const call & job, bool handed_over);
    void cancel(const json & id);
    bool serve(call & job, const method_entry & entry, const json & params);

    output &                                     out;
    std::map<std::string, method_entry>          methods;
    std::function<void(const json & id)>         cancel_elsewhere = [](const json &) {};
    bool                                         initialized = false;
    std::mutex                                   mutex;  // guards `jobs`
    std::map<std::string, std::shared_ptr<call>> jobs;   // by id as JSON text
    job_pool                                     pool;
};

}  // namespace moebius
