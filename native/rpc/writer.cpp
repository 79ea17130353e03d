#include "writer.h"

#include "framing.h"
#include "json-text.h"
#include "pipes.h"

namespace moebius {

static std::string framed(const std::vector<uint8_t> & frame) {
    return frame_header(frame.size()).append(frame.begin(), frame.end());
}

writer::writer(int descriptor, std::function<void()> on_broken)
    : descriptor(descriptor), on_broken(std::move(on_broken)), thread([this] { run(); }) {}

writer::~writer() {
    finish(std::chrono::hours(1));
}

void writer::send_message(const json & message) {
    const std::string text = json_text(message);
    enqueue(frame_header(text.size()).append(text));
}

void writer::send_frame(std::vector<uint8_t> && frame) {
    enqueue(framed(frame));
}

void writer::send_frames(std::vector<std::vector<uint8_t>> && frames) {
    std::string all;
    for (const std::vector<uint8_t> & frame : frames) {
        all += framed(frame);
    }
    if (!all.empty()) {
        enqueue(std::move(all));
    }
}

void writer::enqueue(std::string framed) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        if (closing || ended) {
            return;
        }
        if (pending.empty()) {
            pending = std::move(framed);
        } else {
            pending += framed;
        }
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
