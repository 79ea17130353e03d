#include "clerk.h"

namespace moebius {

clerk::clerk() : thread([this] { work(); }) {}

clerk::~clerk() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        closing = true;
    }
    changed.notify_one();
    thread.join();
}

void clerk::give(std::function<void()> task) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        tasks.push_back(std::move(task));
    }
    changed.notify_one();
}

void clerk::work() {
    std::unique_lock<std::mutex> lock(mutex);
    while (true) {
        changed.wait(lock, [this] { return closing || !tasks.empty(); });
        if (tasks.empty()) {
            return;
        }
        const std::function<void()> task = std::move(tasks.front());
        tasks.pop_front();
        lock.unlock();
        task();
        lock.lock();
    }
}

}  // namespace moebius
