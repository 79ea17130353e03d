// A device that stands for another one and counts: graphs are built and laid out for it as for that one, buffers are of that one's sizes, but nothing is computed and nothing takes memory.
//
// So whatever allocates and computes through ggml says what it will need by being run on it: not a model of the code, the code. What is read from it is random: [0, 1).
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace moebius {

class counting_device {
  public:
    // on_work: called whenever something is allocated, computed, written or read, on that thread. `of` outlives it.
    explicit counting_device(ggml_backend_dev_t of, std::function<void()> on_work = [] {});
    ~counting_device();
    counting_device(const counting_device &)             = delete;
    counting_device & operator=(const counting_device &) = delete;

    // Of the other one's kind; its buffers and backends are to go before this.
    ggml_backend_dev_t device() const;
    ggml_backend_dev_t stands_for() const;

    uint64_t bytes() const;  // of the buffers that there are
    uint64_t most() const;   // that there were at once

  private:
    friend struct counting_calls;
    struct parts;
    std::unique_ptr<parts> made;
};

}  // namespace moebius
