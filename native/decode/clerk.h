// A thread for what must not hold up the decode thread or the reader: templates, tokenising, grammars, parsing replies.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace moebius {

class clerk {
  public:
    clerk();
    ~clerk();  // does all that was given to it, then ends

    // Tasks run one after the other, in this order. They must not throw.
    void give(std::function<void()> task);

  private:
    void work();

    std::mutex                        mutex;
    std::condition_variable           changed;
    std::deque<std::function<void()>> tasks;
    bool                              closing = false;
    std::thread                       thread;
};

}  // namespace moebius
