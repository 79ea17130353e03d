#include "writer.h"

#include "framing.h"
#include "json-text.h"
#include "pipes.h"

namespace moebius {

writer::writer(int descriptor, std::function<void()> on_broken)
    : descriptor(descriptor), on_broken(std::move(on_broken)), thread([this] { run(); }) {}

writer::~writer() {
    finish(std::chrono::hours(1));
}

void writer::send_message(const json & message) {
    const std::string text = json_text(message);
    enqueue(text.data(), text.size());
}

void writer::send_frame(std::vector<uint8_t> && frame) {
    enqueue(reinterpret_cast<const char *>(frame.data()), frame.size());
}

void writer::enqueue(const char * payload, size_t size) {
    const std::string header = frame_header(size);
    {
        const std::lock_guard<std::mutex> lock(mutex);
        if (closing || ended) {
            return;
        }
        pending.append(header).append(payload, size);
    }
    work.notify_one();
}

void writer::run() {
    std::string taken;
    bool        broken = false;
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(mutex);
            work.wait(lock, [this] { return closing || !pending.empty(); });
            if (pending.empty() || broken) {
                ended = true;
                break;
            }
            taken.clear();
            taken.swap(pending);
        }
        broken = !pipe_write(descriptor, taken.data(), taken.size());
        if (broken) {
            const std::lock_guard<std::mutex> lock(mutex);
            ended = true;
            break;
        }
        if (taken.capacity() > (1u << 20)) {
            taken = std::string();  // a big frame does not pin its memory
        }
    }
    drained.notify_all();
    if (broken) {
        on_broken();
    }
}

bool writer::finish(std::chrono::milliseconds limit) {
    std::unique_lock<std::mutex> lock(mutex);
    closing = true;
    work.notify_one();
    if (!drained.wait_for(lock, limit, [this] { return ended; })) {
        return false;
    }
    lock.unlock();
    if (thread.joinable()) {
        thread.join();
    }
    return true;
}

}  // namespace moebius
