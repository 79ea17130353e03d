// Where the experts' device gets the matrices of a model's routed experts from.
#pragma once

#include "expert-layout.h"
#include "experts/policy/cache-policy.h"

#include <ggml-cpu.h>

#include <cstdint>
#include <mutex>
#include <set>

namespace moebius {

class device_dispatch;
class expert_ahead;
class lossy_experts;
class super_expert_finder;

class expert_source {
  public:
    virtual ~expert_source()                         = default;
    expert_source(const expert_source &)             = delete;
    expert_source & operator=(const expert_source &) = delete;

    const expert_layout & layout() const { return all; }

    // Of the context that uses the experts, null without: kernels run on these threads, for one token or for several.
    struct {
        ggml_threadpool_t decode = nullptr;
        ggml_threadpool_t batch  = nullptr;
    } pools;

    // That computes some of the experts on devices; null: none are there.
    device_dispatch * devices = nullptr;

    // That foretells what the next layers will use; null: nobody does.
    expert_ahead * ahead = nullptr;

    // That takes experts in fewer bits, or leaves them out, where they would have to be read; null: never.
    lossy_experts * lossy = nullptr;

    // That hears how large the outputs of experts are which the CPU computes; null: nobody wants to know.
    super_expert_finder * finder = nullptr;

    // --- one batch in one layer; by one thread, one at a time (hold `session`)

    std::mutex session;

    // Begins: may reorder `uses` into the order in which they must be finished.
    virtual void begin(uint32_t layer, std::vector<expert_use> & uses) = 0;
    // Matrix `part` (index into expert_layer::parts), when it is there. Any thread. Null: it cannot be had, see `error`.
    virtual const uint8_t * wait(uint32_t layer, uint32_t expert, uint32_t part) = 0;
    // The expert was computed with (or will not be). Any thread, once per use.
    virtual void finish(uint32_t layer, uint32_t expert) = 0;

    // From the next graph on adapters change experts of these blocks (blk.N), and of no others. By the thread that computes, between batches.
    virtual void adapt(const std::set<int32_t> &) {}

    // --- any thread, at any time

    virtual std::string error() const { return ""; }  // of the last read that failed

  protected:
    explicit expert_source(expert_layout layout) : all(std::move(layout)) {}

    expert_layout all;
};

}  // namespace moebius
