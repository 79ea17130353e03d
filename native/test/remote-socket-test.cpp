// buffered_socket over TCP of this machine: what is sent arrives whole and in order, and when.
#include "check.h"
#include "remote/buffered-socket.h"

#include <cstdint>
#include <thread>
#include <vector>

using namespace moebius;

namespace {

struct pair_of_sockets {
    buffered_socket client, server;
};

pair_of_sockets connected() {
    tcp_socket::startup();
    tcp_socket  listener = tcp_socket::listen("127.0.0.1", 0);
    std::string problem;
    tcp_socket  client = tcp_socket::connect("127.0.0.1", listener.port(), 5, problem);
    CHECK_EQUAL(problem, "");
    pair_of_sockets both{ buffered_socket(std::move(client)), buffered_socket(listener.accept()) };
    both.server.set_patience(1);
    return both;
}

std::vector<uint8_t> numbers(size_t count, uint32_t seed) {
    std::vector<uint8_t> values(count);
    for (uint8_t & value : values) {
        value = uint8_t((seed = seed * 1664525u + 1013904223u) >> 24);
    }
    return values;
}

void whole_and_in_order() {
    auto [client, server] = connected();
    const std::vector<size_t> sizes{ 1, 8, 4096, 65535, 65536, 65537, 3, 1 << 20, 200000, 8, 1 };
    std::thread               sender([&client = client, &sizes] {
        for (size_t i = 0; i < sizes.size(); i++) {
            const std::vector<uint8_t> values = numbers(sizes[i], uint32_t(i));
            CHECK_EQUAL(client.send(values.data(), values.size()), "");
        }
        CHECK_EQUAL(client.flush(), "");
    });
    for (size_t i = 0; i < sizes.size(); i++) {
        std::vector<uint8_t> got(sizes[i]);
        for (size_t at = 0, step = 0; at < got.size(); at += step) {  // in other pieces than it was sent
            step = std::min<size_t>(got.size() - at, i % 2 == 0 ? got.size() : 50000);
            CHECK_EQUAL(server.receive(got.data() + at, step), "");
        }
        CHECK(got == numbers(sizes[i], uint32_t(i)));
    }
    sender.join();
}

void sent_when_told_or_asked() {
    auto [client, server] = connected();
    const uint8_t one = 1, two = 2;
    uint8_t       got = 0;
    CHECK_EQUAL(client.send(&one, 1), "");
    CHECK(server.receive(&got, 1).find("did not answer") != std::string::npos);  // it is still there
    CHECK_EQUAL(client.flush(), "");
    CHECK_EQUAL(server.receive(&got, 1), "");
    CHECK_EQUAL(int(got), 1);
    CHECK_EQUAL(client.send(&two, 1), "");
    std::thread answer([&server = server] {
        uint8_t asked = 0;
        CHECK_EQUAL(server.receive(&asked, 1), "");
        asked++;
        server.send(&asked, 1);
        server.flush();
    });
    CHECK_EQUAL(client.receive(&got, 1), "");  // who waits for an answer has asked
    CHECK_EQUAL(int(got), 3);
    answer.join();
}

void closed() {
    auto [client, server] = connected();
    const uint8_t one     = 1;
    client.send(&one, 1);
    client.flush();
    client.close();
    CHECK(!client);
    uint8_t got[2];
    CHECK_EQUAL(server.receive(got, 2), "it closed the connection");
}

}  // namespace

int main() {
    whole_and_in_order();
    sent_when_told_or_asked();
    closed();
    return moebius_test::check_result();
}
