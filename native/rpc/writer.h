// The output that writes to a descriptor: a queue and the one thread that writes to it.
#pragma once

#include "output.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace moebius {

class writer : public output {
  public:
    // `on_broken` is called once, on the writer thread, when the reader of the descriptor is gone.
    writer(int descriptor, std::function<void()> on_broken);
    ~writer() override;  // finish() must have returned true

    void send_message(const json & message) override;
    void send_frame(std::vector<uint8_t> && frame) override;
    void send_frames(std::vector<std::vector<uint8_t>> && frames) override;

    // Writes what is queued and ends the thread; later sends are dropped. Idempotent. false: the reader did not take
    // everything in time, the thread is still stuck in write(), and only the end of the process can end it.
    bool finish(std::chrono::milliseconds limit);

  private:
    void enqueue(std::string framed);
    void run();

    int                     descriptor;
    std::function<void()>   on_broken;
    std::mutex              mutex;
    std::condition_variable work;      // there is something in `pending`, or `closing`
    std::condition_variable drained;   // `ended` became true
    std::string             pending;   // framed bytes that the thread has not taken yet
    bool                    closing = false;
    bool                    ended   = false;
    std::thread             thread;
};

}  // namespace moebius
