// The sockets of llama.cpp's RPC (ggml-rpc/transport.h), over TCP. Other than llama.cpp's: a client gives up on a machine that does not
// answer in time, and then answers in its place (rpc-client.h), so that ggml can go on until whoever waits for the results sees the loss.
#include "buffered-socket.h"

#include "link.h"
#include "rpc-client.h"

#include <ggml-rpc/transport.h>

#include <cstdlib>
#include <cstring>

using namespace moebius;

namespace {

constexpr int connect_seconds = 5;  // also for the first answer

// Longest time without a byte from a machine that is to answer, seconds. It may be computing.
int answer_seconds() {
    const char * wanted = std::getenv("MOEBIUS_REMOTE_TIMEOUT");
    const int    value  = wanted ? std::atoi(wanted) : 0;
    return value > 0 ? value : 60;
}

// A client's side of the conversation: the request that is being sent, and the answer that is due.
struct exchange {
    explicit exchange(remote_link & to) : link(to) {}

    remote_link &        link;
    uint8_t              command  = 0;
    int                  sent     = 0;      // parts of a request: command, size, data
    bool                 has_size = false;  // of the answer
    std::vector<uint8_t> request;
};

}  // namespace

struct socket_t::impl {
    buffered_socket           socket;
    std::unique_ptr<exchange> client;  // null: the side that serves; lost once `socket` is empty

    impl(buffered_socket of, std::unique_ptr<exchange> how) : socket(std::move(of)), client(std::move(how)) {}

    void lose(const std::string & reason) {
        if (socket) {
            client->link.lose(reason);
            socket.close();
        }
    }

    bool send_data(const void * data, size_t size) {
        if (client) {
            note_request(data, size);
        }
        if (client && !socket) {
            return true;
        }
        return goes_on(socket.send(data, size));
    }

    // At the end of a message.
    bool flush() {
        return !socket || (client && rpc_may_wait(client->command)) || goes_on(socket.flush());
    }

    bool goes_on(const std::string & problem) {
        if (client && !problem.empty()) {
            lose(problem);
            return true;
        }
        return problem.empty();
    }

    void note_request(const void * data, size_t size) {
        constexpr size_t most = 4096;  // more has no answer that depends on it
        const auto *     from = static_cast<const uint8_t *>(data);
        switch (client->sent++) {
            case 0:
                client->command  = *from;
                client->has_size = false;
                break;
            case 2:
                client->request.assign(from, from + (size > most ? 0 : size));
                client->sent = 0;
                break;
        }
    }

    bool recv_data(void * data, size_t size) {
        if (!client) {
            return socket.receive(data, size).empty();
        }
        std::string problem = !socket ? "lost" : socket.receive(data, size);
        if (client->has_size) {
            if (problem.empty() && rpc_is_hello(client->command)) {
                problem = rpc_hello_problem(data);
                socket.set_patience(answer_seconds());
            }
            if (!problem.empty()) {
                lose(problem);
                rpc_stand_in(client->command, data, size);
            }
            return true;
        }
        const uint64_t bytes = rpc_answer_bytes(client->command, client->request);
        if (problem.empty() && std::memcmp(data, &bytes, sizeof(bytes)) != 0) {
            problem = "what answers there does not speak llama.cpp's RPC protocol, or another version of it";
        }
        if (!problem.empty()) {
            lose(problem);
        }
        std::memcpy(data, &bytes, sizeof(bytes));
        client->has_size = true;
        return true;
    }
};

socket_t::socket_t(std::unique_ptr<impl> p) : pimpl(std::move(p)) {}

socket_t::~socket_t() = default;

bool socket_t::send_data(const void * data, size_t size) {
    return pimpl->send_data(data, size);
}

bool socket_t::recv_data(void * data, size_t size) {
    return pimpl->recv_data(data, size);
}

bool socket_t::flush() {
    return pimpl->flush();
}

void socket_t::get_caps(uint8_t * local_caps) {
    std::memset(local_caps, 0, RPC_CONN_CAPS_SIZE);  // TCP alone
}

void socket_t::update_caps(const uint8_t *) {}

socket_ptr socket_t::accept() {
    tcp_socket client = pimpl->socket.accept();
    return client ? socket_ptr(new socket_t(std::make_unique<impl>(buffered_socket(std::move(client)), nullptr))) : nullptr;
}

socket_ptr socket_t::create_server(const char * host, int port) {
    tcp_socket server = tcp_socket::listen(host, port);
    if (!server) {
        return nullptr;
    }
    std::printf("Listening on %s:%d\n", host, server.port());
    std::fflush(stdout);
    return socket_ptr(new socket_t(std::make_unique<impl>(buffered_socket(std::move(server)), nullptr)));
}

// Never null: a machine that is not there is one that is lost already.
socket_ptr socket_t::connect(const char * host, int port) {
    remote_link & link = remote_link_to(std::string(host) + ":" + std::to_string(port));
    link.connected();
    std::string problem;
    tcp_socket  socket = tcp_socket::connect(host, port, connect_seconds, problem);
    if (!socket) {
        link.lose(problem);
    }
    return socket_ptr(new socket_t(std::make_unique<impl>(buffered_socket(std::move(socket)), std::make_unique<exchange>(link))));
}

bool rpc_transport_init() {
    return tcp_socket::startup();
}

void rpc_transport_shutdown() {}
