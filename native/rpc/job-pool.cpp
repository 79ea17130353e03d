#include "job-pool.h"

namespace moebius {

void job_pool::run(std::function<void()> job) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        if (stopping) {
            return;
        }
        queue.push_back(std::move(job));
        if (queue.size() > idle && threads.size() < limit) {
            threads.emplace_back([this] { work(); });
        }
    }
    changed.notify_one();
}

void job_pool::work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
        idle++;
        changed.wait(lock, [this] { return stopping || !queue.empty(); });
        idle--;
        if (queue.empty()) {
            return;
        }
        const std::function<void()> job = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
}

void job_pool::stop() {
    std::vector<std::thread> ending;
    {
        const std::lock_guard<std::mutex> lock(mutex);
        stopping = true;
        ending.swap(threads);
    }
    changed.notify_all();
    for (std::thread & thread : ending) {
        thread.join();
    }
}

}  // namespace moebius
