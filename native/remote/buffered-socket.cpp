#include "buffered-socket.h"

#include <algorithm>
#include <cstring>

namespace moebius {

namespace {

// Larger than what an FFN of a few tokens takes; what is larger goes past the buffer.
constexpr size_t room = 64 << 10;

}  // namespace

std::string buffered_socket::send(const void * data, size_t size) {
    if (outgoing.size() + size <= room) {
        const auto * from = static_cast<const uint8_t *>(data);
        outgoing.insert(outgoing.end(), from, from + size);
        return "";
    }
    const std::string problem = flush();
    return problem.empty() ? socket.send(data, size) : problem;
}

std::string buffered_socket::flush() {
    const std::string problem = outgoing.empty() ? "" : socket.send(outgoing.data(), outgoing.size());
    outgoing.clear();
    return problem;
}

std::string buffered_socket::receive(void * data, size_t size) {
    std::string problem = flush();
    auto *      to      = static_cast<uint8_t *>(data);
    while (problem.empty() && size > 0) {
        const size_t here = std::min(size, end - begin);
        std::copy_n(incoming.data() + begin, here, to);  // of nothing too: memcpy may not be given the null of an empty vector
        begin += here;
        to += here;
        size -= here;
        if (size >= room) {
            return socket.receive(to, size);
        }
        if (size > 0) {
            incoming.resize(room);
            begin   = 0;
            problem = socket.receive_some(incoming.data(), size, room, end);
        }
    }
    return problem;
}

}  // namespace moebius
