// Whatever comes in, each request gets exactly one reply, and jobs can be cancelled.
#include "check.h"
#include "recorded-output.h"
#include "rpc/dispatcher.h"

#include <future>
#include <thread>

using namespace moebius;
using moebius_test::recorded_output;

namespace {

struct fixture {
    recorded_output out;
    dispatcher      methods{ out };
    std::atomic<int> passed_on{ 0 };

    fixture() {
        methods.add("initialize", lane::reader, [](call &, const json &) { return json::object(); });
        methods.add("echo", lane::reader, [](call &, const json & params) { return params; });
        methods.add("throw", lane::reader, [](call &, const json &) -> std::optional<json> { throw std::runtime_error("oops"); });
        methods.add("full", lane::job, [](call &, const json &) -> std::optional<json> {
            throw user_error("model.does-not-fit", "too big", { { "need", 5 } });
        });
        methods.add("memory", lane::job, [](call &, const json &) -> std::optional<json> { throw std::bad_alloc(); });
        methods.add("wait", lane::job, [](call & request, const json &) -> std::optional<json> {
            while (!request.cancelled) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
            request.throw_if_cancelled();
            return std::nullopt;
        });
        methods.on_cancel([this](const json &) { passed_on++; });
    }

    ~fixture() { methods.stop(); }

    void request(const json & id, const std::string & method, const json & params = json::object()) {
        methods.handle(json({ { "jsonrpc", "2.0" }, { "id", id }, { "method", method }, { "params", params } }).dump());
    }

    void initialize() {
        request("init", "initialize");
        out.response("init");
    }

    // number of the last message, which is an error
    int last_error() { return out.all().back()["error"]["code"].get<int>(); }
};

}  // namespace

static void payloads_that_are_no_request_are_refused() {
    fixture f;
    const std::pair<const char *, int> cases[] = {
        { "", rpc_parse_error },
        { "{\"a\":", rpc_parse_error },
        { "\xff\xfe", rpc_parse_error },
        { "{\"a\":\"\xff\"}", rpc_parse_error },
        { "[]", rpc_invalid_request },
        { "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}]", rpc_invalid_request },
        { "5", rpc_invalid_request },
        { "{}", rpc_invalid_request },
        { "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"initialize\"}", rpc_invalid_request },
        { "{\"jsonrpc\":\"2.0\",\"id\":1}", rpc_invalid_request },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", rpc_invalid_request },
        { "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"initialize\"}", rpc_invalid_request },
        { "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"initialize\"}", rpc_invalid_request },
    };
    size_t replies = 0;
    for (const auto & [text, number] : cases) {
        f.methods.handle(text);
        CHECK_EQUAL(f.out.all().size(), ++replies);
        CHECK_EQUAL(f.last_error(), number);
    }
    f.methods.handle(std::string(100000, '['));
    CHECK_EQUAL(f.last_error(), rpc_parse_error);
    f.methods.handle("{\"jsonrpc\":\"2.0\",\"method\":\"notification\"}");
    CHECK_EQUAL(f.out.all().size(), replies + 1);
}

static void initialize_comes_first_and_once() {
    fixture f;
    f.request(1, "echo");
    CHECK_EQUAL(f.last_error(), rpc_not_initialized);
    f.request(2, "initialize");
    f.request(3, "echo", { { "x", 1 } });
    CHECK_EQUAL(f.out.response(3)["result"]["x"], 1);
    f.request(4, "initialize");
    CHECK_EQUAL(f.last_error(), rpc_invalid_request);
}

static void failures_keep_code_message_and_details() {
    fixture f;
    f.initialize();
    f.request(1, "full");
    const json error = f.out.response(1)["error"];
    CHECK_EQUAL(error["code"], int(rpc_catalogue));
    CHECK_EQUAL(error["message"], "too big");
    CHECK_EQUAL(error["data"]["code"], "model.does-not-fit");
    CHECK_EQUAL(error["data"]["details"]["need"], 5);
    f.request(2, "throw");
    CHECK_EQUAL(f.out.error_code(2), "internal");
    f.request("three", "memory");
    CHECK_EQUAL(f.out.error_code("three"), "internal");
    f.request(4, "nonsense");
    CHECK_EQUAL(f.out.error_code(4), "request.unknown-method");
}

static void a_running_job_is_cancelled_and_its_id_free_again() {
    fixture f;
    f.initialize();
    f.request(7, "wait");
    f.request(7, "wait");
    CHECK_EQUAL(f.last_error(), rpc_invalid_request);  // the id is in use
    f.methods.handle(R"({"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"7"}})");  // a string: another id
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_EQUAL(f.out.all().size(), 2u);
    f.methods.handle(R"({"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":7}})");
    for (int i = 0; i < 1000 && f.out.all().size() < 3; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK_EQUAL(f.last_error(), rpc_cancelled);
    CHECK_EQUAL(f.passed_on.load(), 2);  // others may know the id too
}

static void queued_jobs_are_cancelled_at_the_end() {
    fixture f;
    f.initialize();
    for (int i = 0; i < 30; i++) {  // more than there are threads
        f.request(i, "wait");
    }
    f.methods.stop();
    int cancelled = 0;
    for (const json & message : f.out.all()) {
        cancelled += message.contains("error") && message["error"]["data"]["code"] == "cancelled";
    }
    CHECK_EQUAL(cancelled, 30);
}

int main() {
    payloads_that_are_no_request_are_refused();
    initialize_comes_first_and_once();
    failures_keep_code_message_and_details();
    a_running_job_is_cancelled_and_its_id_free_again();
    queued_jobs_are_cancelled_at_the_end();
    return moebius_test::check_result();
}
