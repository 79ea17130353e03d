#include "socket.h"

#include <algorithm>
#include <memory>
#include <cstring>
#include <system_error>

#ifdef _WIN32
#    define WIN32_LEAN_AND_MEAN
#    define NOMINMAX
#    include <winsock2.h>
#    include <ws2tcpip.h>
#else
#    include <arpa/inet.h>
#    include <cerrno>
#    include <fcntl.h>
#    include <netdb.h>
#    include <netinet/in.h>
#    include <netinet/tcp.h>
#    include <poll.h>
#    include <sys/socket.h>
#    include <unistd.h>
#endif

namespace moebius {

namespace {

#ifdef _WIN32
int last_error() {
    return WSAGetLastError();
}
bool is_timeout(int error) {
    return error == WSAETIMEDOUT || error == WSAEWOULDBLOCK;
}
constexpr int interrupted   = WSAEINTR;
constexpr int no_signal     = 0;
using poll_entry            = WSAPOLLFD;
#    define poll WSAPoll
void set_blocking(SOCKET handle, bool blocking) {
    u_long mode = blocking ? 0 : 1;
    ioctlsocket(handle, FIONBIO, &mode);
}
#else
int last_error() {
    return errno;
}
bool is_timeout(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == ETIMEDOUT;
}
constexpr int interrupted = EINTR;
#    ifdef MSG_NOSIGNAL
constexpr int no_signal = MSG_NOSIGNAL;
#    else
constexpr int no_signal = 0;  // SO_NOSIGPIPE
#    endif
using poll_entry = pollfd;
void set_blocking(int handle, bool blocking) {
    const int flags = fcntl(handle, F_GETFL);
    fcntl(handle, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}
#endif

template <typename Handle, typename Value> void set_option(Handle handle, int level, int name, const Value & value) {
    setsockopt(handle, level, name, reinterpret_cast<const char *>(&value), sizeof(value));
}

// 0, or the error.
template <typename Handle> int connect_within(Handle handle, const sockaddr * address, size_t bytes, int seconds) {
    set_blocking(handle, false);
    int error = ::connect(handle, address, socklen_t(bytes)) == 0 ? 0 : last_error();
#ifdef _WIN32
    const bool begun = error == WSAEWOULDBLOCK;
#else
    const bool begun = error == EINPROGRESS;
#endif
    if (begun) {
        poll_entry entry{};
        entry.fd     = handle;
        entry.events = POLLOUT;
        socklen_t size = sizeof(error);
#ifdef _WIN32
        constexpr int late = WSAETIMEDOUT;
#else
        constexpr int late = ETIMEDOUT;
#endif
        if (poll(&entry, 1, seconds * 1000) != 1 || getsockopt(handle, SOL_SOCKET, SO_ERROR, reinterpret_cast<char *>(&error), &size) != 0) {
            error = late;
        }
    }
    set_blocking(handle, true);
    return error;
}

std::string describe(int error) {
    return std::system_category().message(error);
}

}  // namespace

bool tcp_socket::startup() {
#ifdef _WIN32
    static const bool started = [] {
        WSADATA data;
        return WSAStartup(MAKEWORD(2, 2), &data) == 0;
    }();
    return started;
#else
    return true;
#endif
}

void tcp_socket::keep_alive() {
    set_option(handle, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(handle, SOL_SOCKET, SO_KEEPALIVE, 1);  // a machine without power says nothing
#ifdef TCP_KEEPIDLE
    set_option(handle, IPPROTO_TCP, TCP_KEEPIDLE, 5);
    set_option(handle, IPPROTO_TCP, TCP_KEEPINTVL, 2);
    set_option(handle, IPPROTO_TCP, TCP_KEEPCNT, 3);
#endif
#ifdef SO_NOSIGPIPE
    set_option(handle, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
}

tcp_socket tcp_socket::connect(const std::string & host, int port, int seconds, std::string & problem) {
    addrinfo   hints{};
    addrinfo * found  = nullptr;
    hints.ai_family   = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found)) {
        problem = "there is no host of that name (" + std::string(gai_strerror(error)) + ")";
        return {};
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
    for (const addrinfo * each = found; each; each = each->ai_next) {
        tcp_socket made{ handle_type(::socket(each->ai_family, each->ai_socktype, each->ai_protocol)) };
        const int  error = made ? connect_within(made.handle, each->ai_addr, each->ai_addrlen, seconds) : last_error();
        if (made && error == 0) {
            made.keep_alive();
            made.set_patience(seconds);
            return made;
        }
        problem = is_timeout(error) ? "no answer within " + std::to_string(seconds) + " seconds" : describe(error);
    }
    return {};
}

tcp_socket tcp_socket::listen(const std::string & host, int port) {
    tcp_socket  made{ handle_type(::socket(AF_INET, SOCK_STREAM, 0)) };
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port   = htons(uint16_t(port));
    if (!made || inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
        return {};
    }
    set_option(made.handle, SOL_SOCKET, SO_REUSEADDR, 1);
    const bool bound = ::bind(made.handle, reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0;
    return bound && ::listen(made.handle, 1) == 0 ? std::move(made) : tcp_socket();
}

tcp_socket tcp_socket::accept() {
    tcp_socket client{ handle_type(::accept(handle, nullptr, nullptr)) };
    if (client) {
        client.keep_alive();
    }
    return client;
}

int tcp_socket::port() const {
    sockaddr_in address{};
    socklen_t   size = sizeof(address);
    return getsockname(handle, reinterpret_cast<sockaddr *>(&address), &size) == 0 ? ntohs(address.sin_port) : 0;
}

void tcp_socket::close() {
    if (handle != none) {
#ifdef _WIN32
        closesocket(handle);
#else
        ::close(handle);
#endif
        handle = none;
    }
}

void tcp_socket::set_patience(int seconds) {
    patience = seconds;
#ifdef _WIN32
    const DWORD limit = DWORD(seconds) * 1000;
#else
    const timeval limit{ seconds, 0 };
#endif
    set_option(handle, SOL_SOCKET, SO_RCVTIMEO, limit);
    set_option(handle, SOL_SOCKET, SO_SNDTIMEO, limit);
}

std::string tcp_socket::failure(const char * what, int error) const {
    if (is_timeout(error) && patience > 0) {
        return "it did not " + std::string(what) + " anything for " + std::to_string(patience) + " seconds";
    }
    return describe(error);
}

std::string tcp_socket::send(const void * data, size_t size) {
    constexpr size_t piece = 1 << 20;  // the time limit is one of a call
    for (size_t done = 0; done < size;) {
        const auto sent = ::send(handle, static_cast<const char *>(data) + done, std::min(size - done, piece), no_signal);
        if (sent >= 0) {
            done += size_t(sent);
        } else if (last_error() != interrupted) {
            return failure("take", last_error());
        }
    }
    return "";
}

std::string tcp_socket::receive(void * data, size_t size) {
    size_t got = 0;
    return receive_some(data, size, size, got);
}

std::string tcp_socket::receive_some(void * data, size_t least, size_t most, size_t & got) {
    constexpr size_t piece = 1 << 30;
    for (got = 0; got < least;) {
        const auto more = ::recv(handle, static_cast<char *>(data) + got, std::min(most - got, piece), 0);
        if (more > 0) {
            got += size_t(more);
        } else if (more == 0) {
            return "it closed the connection";
        } else if (last_error() != interrupted) {
            return failure("answer", last_error());
        }
    }
    return "";
}

}  // namespace moebius
