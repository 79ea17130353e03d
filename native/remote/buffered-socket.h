// A TCP socket that speaks and listens in large pieces: llama.cpp's RPC writes and reads a message in three, and an FFN takes several messages.
#pragma once

#include "socket.h"

#include <cstdint>
#include <vector>

namespace moebius {

class buffered_socket {
  public:
    explicit buffered_socket(tcp_socket of) : socket(std::move(of)) {}

    explicit operator bool() const { return bool(socket); }
    void       set_patience(int seconds) { socket.set_patience(seconds); }
    void       close() { socket.close(); }
    tcp_socket accept() { return socket.accept(); }

    // As tcp_socket's; what is sent may stay here until `flush`, or until something is received.
    std::string send(const void * data, size_t size);
    std::string flush();
    std::string receive(void * data, size_t size);

  private:
    tcp_socket           socket;
    std::vector<uint8_t> outgoing;
    std::vector<uint8_t> incoming;           // what was received ...
    size_t               begin = 0, end = 0;  // ... and where of it nobody has taken it yet
};

}  // namespace moebius
