#include "link.h"

#include "rpc/errors.h"
#include "rpc/log.h"

#include <map>
#include <memory>

namespace moebius {

namespace {

struct attachments {
    std::mutex                                          mutex;
    std::map<ggml_backend_dev_t, const remote_link *> links;
};

attachments & attached() {
    static attachments all;
    return all;
}

}  // namespace

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
    const std::lock_guard<std::mutex> lock(attached().mutex);
    const auto                        found = attached().links.find(device);
    return found == attached().links.end() ? nullptr : found->second;
}

void remote_link_attach(ggml_backend_dev_t device, const remote_link & link) {
    const std::lock_guard<std::mutex> lock(attached().mutex);
    attached().links[device] = &link;
}

void remote_check(const std::vector<ggml_backend_dev_t> & devices) {
    for (ggml_backend_dev_t device : devices) {
        const remote_link * link = remote_link_of(device);
        if (is_lost(link)) {
            throw user_error("device.lost",
                             "Machine " + link->endpoint + " (" + ggml_backend_dev_name(device) + ") is lost: " + link->reason() +
                                 ". Start `moebius rpc-server` there again and load the model anew, or load it without that machine.",
                             { { "endpoint", link->endpoint }, { "device", ggml_backend_dev_name(device) }, { "reason", link->reason() } });
        }
    }
}

}  // namespace moebius
