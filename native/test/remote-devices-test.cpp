// Devices of other machines: they compute what this one does, and one that dies or hangs ends what it computed for, and nothing else.
#include "check.h"
#include "decode-harness.h"
#include "model/devices.h"
#include "model/model-parameters.h"
#include "remote/link.h"
#include "remote/machines.h"
#include "rpc-servers.h"

#include <chrono>
#include <cstdlib>
#include <future>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace moebius;
using namespace moebius_test;

namespace {

// The servers add up matrices in another order (their weights are repacked, the CPU's in these tests are not).
constexpr float logit_tolerance = 1e-3f;

load_options options_on(const std::vector<ggml_backend_dev_t> & devices) {
    load_options options = tiny_options();
    options.gpu_layers   = 99;
    for (ggml_backend_dev_t device : devices) {
        options.devices.push_back(ggml_backend_dev_name(device));
    }
    return options;
}

// All layers of the tiny model on these devices.
struct remote_engine {
    explicit remote_engine(const std::vector<ggml_backend_dev_t> & devices) {
        const load_options options = options_on(devices);
        model_parameters   parameters(options, inspect_tiny(), nullptr);
        model.reset(llama_model_load_from_file(MOEBIUS_TINY_MODEL, parameters.value));
        texts  = std::make_unique<model_texts>(model.get());
        engine = std::make_unique<decoder>(model.get(), *texts, options, inspect_tiny(), out);
    }
    int send(json parameters) {
        parameters["generation"] = ++last;
        parameters["model"]      = 1;
        engine->generate(last, parameters);
        return last;
    }

    recorder                     out;
    llama_model_ptr              model;
    std::unique_ptr<model_texts> texts;
    std::unique_ptr<decoder>     engine;
    int                          last = 0;
};

json story(int tokens) {
    return { { "prompt", "Once upon a time there was a dwarf who" }, { "maxTokens", tokens }, { "ignoreEndOfGeneration", true }, { "sampling", greedy() } };
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void machines_that_cannot_be_used() {
    for (const char * bad : { "", "localhost", ":50052", "localhost:", "localhost:0", "localhost:70000", "a b:1", "http://a:1", "host:1x" }) {
        CHECK_THROWS(remote_add(bad), user_error, error.code == "request.invalid");
    }
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS(remote_add("127.0.0.1:1"), user_error, error.code == "device.unreachable" && error.details.at("endpoint") == "127.0.0.1:1");
    CHECK_THROWS(remote_add("no-such-host.invalid:50052"), user_error, error.code == "device.unreachable");
    CHECK_THROWS(remote_remove("127.0.0.1:1"), user_error, error.code == "device.not-found");
    CHECK(seconds_since(begin) < 5);
    CHECK(remote_devices().empty());
}

// Something that takes connections and answers each with `answer`.
void a_stranger_on_the_port(const std::string & answer, const std::string & reason) {
    const int   listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    socklen_t   size        = sizeof(address);
    address.sin_family      = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0 && listen(listener, 1) == 0);
    getsockname(listener, reinterpret_cast<sockaddr *>(&address), &size);
    auto stranger = std::async(std::launch::async, [&] {
        const int client = accept(listener, nullptr, nullptr);
        char      hello[33];
        CHECK(recv(client, hello, sizeof(hello), MSG_WAITALL) == ssize_t(sizeof(hello)));
        CHECK(send(client, answer.data(), answer.size(), MSG_NOSIGNAL) == ssize_t(answer.size()));
        close(client);
    });
    CHECK_THROWS(remote_add("127.0.0.1:" + std::to_string(ntohs(address.sin_port))), user_error,
                 error.code == "device.unreachable" && std::string(error.what()).find(reason) != std::string::npos);
    stranger.get();
    close(listener);
}

void strangers() {
    a_stranger_on_the_port("HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak");
    a_stranger_on_the_port("", "closed the connection");
    std::string other_release(8 + 28, '\0');
    other_release[0] = 28;
    other_release[8] = 99;
    a_stranger_on_the_port(other_release, "version 99.0");
}

void the_same_tokens_on_one_and_on_two_machines() {
    const rpc_servers servers(2);
    const auto        devices = servers.devices();
    CHECK_EQUAL(devices.size(), size_t(2));
    CHECK_EQUAL(std::string(ggml_backend_dev_name(devices[1])), "RPC0@" + servers.endpoint(1));
    CHECK(device_memory_now(devices[0]).total > 0);
    CHECK(default_gpu_ids().empty() || default_gpu_ids()[0].find('@') == std::string::npos);  // only when they are named

    tiny_engine here;
    const auto  expected = here.ask(story(64));
    const auto expected_logits = here.logits({ { "tokens", { 1, 5, 9, 13 } } }).logits;
    for (const auto & used : { std::vector<ggml_backend_dev_t>{ devices[0] }, devices }) {
        remote_engine there(used);
        CHECK(there.out.wait(there.send(story(64))).ids() == expected.ids());
        there.engine->logits(100, { { "model", 1 }, { "generation", 100 }, { "tokens", { 1, 5, 9, 13 } } });
        const auto logits = there.out.wait(100).logits;
        CHECK_EQUAL(logits.size(), expected_logits.size());
        float most = 0;
        for (size_t i = 0; i < logits.size(); i++) {
            most = std::max(most, std::fabs(logits[i] - expected_logits[i]));
        }
        CHECK(most <= logit_tolerance);
    }
}

// A machine dies while it generates: a clear error, everything else goes on, and it can be used again once it is back.
void a_machine_that_dies() {
    rpc_servers   servers(2);
    const auto    devices = servers.devices();
    remote_engine broken(devices), whole({ devices[1] });
    (void) whole;
    const int first = broken.send(story(400)), second = broken.send(story(400));
    broken.out.wait_for_tokens(first, 10);
    servers.kill(0);
    for (const int request : { first, second, broken.send(story(4)) }) {
        const auto reply = broken.out.wait(request);
        CHECK_EQUAL(reply.error_code(), "device.lost");
        CHECK(!reply.error.is_null() && reply.error["data"]["details"]["endpoint"] == servers.endpoint(0));
    }
    CHECK(is_lost(remote_link_of(devices[0])) && !is_lost(remote_link_of(devices[1])));
    CHECK_EQUAL(whole.out.wait(whole.send(story(8))).tokens.size(), size_t(8));
    tiny_engine here;
    CHECK_EQUAL(here.ask(story(8)).tokens.size(), size_t(8));
    CHECK_EQUAL(device_memory_now(devices[0]).total, uint64_t(0));
}

void a_machine_that_hangs() {
    setenv("MOEBIUS_REMOTE_TIMEOUT", "1", 1);
    rpc_servers   servers(1);
    remote_engine engine(servers.devices());
    unsetenv("MOEBIUS_REMOTE_TIMEOUT");
    const int request = engine.send(story(400));
    engine.out.wait_for_tokens(request, 10);
    servers.pause(0);
    const auto begin = std::chrono::steady_clock::now();
    CHECK_EQUAL(engine.out.wait(request).error_code(), "device.lost");
    CHECK(seconds_since(begin) < 4);
    servers.resume(0);
}

}  // namespace

int main() {
    start_llama();
    machines_that_cannot_be_used();
    strangers();
    the_same_tokens_on_one_and_on_two_machines();
    a_machine_that_dies();
    a_machine_that_hangs();
    return check_result();
}
