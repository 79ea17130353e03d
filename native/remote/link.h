// Whether other machines are there: one link for each `host:port`, for the life of the process.
#pragma once

#include <ggml-backend.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace moebius {

// A connection is lost once and for all: its buffers are gone with it. A new one is made when nothing holds the old one any more.
class remote_link {
  public:
    explicit remote_link(std::string endpoint) : endpoint(std::move(endpoint)) {}

    const std::string endpoint;  // host:port

    // Everything that the machine was to compute or to keep is worthless from then on. Any thread, at no cost.
    bool        lost() const { return is_lost; }
    std::string reason() const;  // "it closed the connection"; empty unless lost

    void connected();
    void lose(const std::string & reason);  // the first reason stays

  private:
    std::atomic<bool>  is_lost{ false };
    mutable std::mutex mutex;
    std::string        why;
};

// Made at the first call.
remote_link & remote_link_to(const std::string & endpoint);

// The link that a device depends on, for the life of the process.
void remote_link_attach(ggml_backend_dev_t device, const remote_link & link);

// Null: the device is of this machine.
const remote_link * remote_link_of(ggml_backend_dev_t device);

inline bool is_lost(const remote_link * link) {
    return link && link->lost();
}

// Throws device.lost if one of these devices is of a machine that is lost.
void remote_check(const std::vector<ggml_backend_dev_t> & devices);

}  // namespace moebius
