// An output that keeps what was sent, for tests without pipes.
#pragma once

#include "rpc/output.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

namespace moebius_test {

class recorded_output : public moebius::output {
  public:
    void send_message(const moebius::json & message) override {
        const std::lock_guard<std::mutex> lock(mutex);
        messages.push_back(message);
        changed.notify_all();
    }

    void send_frame(std::vector<uint8_t> && frame) override {
        const std::lock_guard<std::mutex> lock(mutex);
        frames.push_back(std::move(frame));
    }

    std::vector<moebius::json> all() {
        const std::lock_guard<std::mutex> lock(mutex);
        return messages;
    }

    // The response with this id; null after 30 s without one.
    moebius::json response(const moebius::json & id) {
        std::unique_lock<std::mutex> lock(mutex);
        moebius::json                found;
        changed.wait_for(lock, std::chrono::seconds(30), [&] {
            for (const auto & message : messages) {
                if (message.contains("id") && message["id"] == id) {
                    found = message;
                    return true;
                }
            }
            return false;
        });
        return found;
    }

    // `error.data.code` of the response, or "" if it is no error.
    std::string error_code(const moebius::json & id) {
        const moebius::json message = response(id);
        return message.contains("error") ? message["error"]["data"]["code"].get<std::string>() : "";
    }

    std::vector<std::vector<uint8_t>> frames;

  private:
    std::mutex                 mutex;
    std::condition_variable    changed;
    std::vector<moebius::json> messages;
};

}  // namespace moebius_test
