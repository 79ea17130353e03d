#include "link.h"

#include "machines.h"
#include "rpc/log.h"

#include <map>
#include <memory>

namespace moebius {

std::string remote_link::reason() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return why;
}

void remote_link::connected() {
    const std::lock_guard<std::mutex> lock(mutex);
    why.clear();
    is_lost = false;
}

void remote_link::lose(const std::string & reason) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        if (is_lost) {
            return;
        }
        why     = reason;
        is_lost = true;
    }
    log_write(log_level::warn, "machine " + endpoint + " is lost: " + reason);
}

remote_link & remote_link_to(const std::string & endpoint) {
    static std::mutex                                          mutex;
    static std::map<std::string, std::unique_ptr<remote_link>> links;
    const std::lock_guard<std::mutex>                          lock(mutex);
    auto &                                                     link = links[endpoint];
    if (!link) {
        link = std::make_unique<remote_link>(endpoint);
    }
    return *link;
}

const remote_link * remote_link_of(ggml_backend_dev_t device) {
    return is_remote(device) ? &remote_link_to(ggml_backend_dev_description(device)) : nullptr;
}

}  // namespace moebius
