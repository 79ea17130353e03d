// A TCP socket that does not wait for ever.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace moebius {

class tcp_socket {
  public:
    tcp_socket() = default;
    tcp_socket(tcp_socket && other) noexcept : handle(std::exchange(other.handle, none)), patience(other.patience) {}
    tcp_socket & operator=(tcp_socket && other) noexcept {
        std::swap(handle, other.handle);
        std::swap(patience, other.patience);
        return *this;
    }
    ~tcp_socket() { close(); }

    static bool startup();  // before anything else; false: there is no network

    // An empty socket and a problem ("connection refused"), or a connection that gives up after `seconds` without a byte.
    static tcp_socket connect(const std::string & host, int port, int seconds, std::string & problem);
    // host: an IPv4 address. port 0: any that is free. Empty: it cannot be used.
    static tcp_socket listen(const std::string & host, int port);

    tcp_socket accept();  // waits; empty: none will come
    int        port() const;
    void       close();
    void       set_patience(int seconds);

    explicit operator bool() const { return handle != none; }

    // All of it, or what went wrong; empty: nothing did.
    std::string send(const void * data, size_t size);
    std::string receive(void * data, size_t size);
    // `least` to `most` bytes, as many as are there; `got`: how many.
    std::string receive_some(void * data, size_t least, size_t most, size_t & got);

  private:
#ifdef _WIN32
    using handle_type = unsigned long long;
#else
    using handle_type = int;
#endif
    static constexpr handle_type none = handle_type(-1);

    explicit tcp_socket(handle_type of) : handle(of) {}
    void        keep_alive();
    std::string failure(const char * what, int error) const;

    handle_type handle   = none;
    int         patience = 0;  // seconds, 0: for ever
};

}  // namespace moebius
