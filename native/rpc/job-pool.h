// Threads for slow requests. Threads start when needed and stay; at most `limit`, further jobs wait in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace moebius {

class job_pool {
  public:
    explicit job_pool(size_t limit) : limit(limit) {}
    ~job_pool() { stop(); }

    void run(std::function<void()> job);  // the job must not throw
    void stop();                          // waits for all jobs, queued ones included; later run() is ignored

  private:
    void work();

    size_t                            limit;
    std::mutex                        mutex;
    std::condition_variable           changed;
    std::deque<std::function<void()>> queue;
    std::vector<std::thread>          threads;
    size_t                            idle     = 0;
    bool                              stopping = false;
};

}  // namespace moebius
