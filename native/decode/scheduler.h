// The loop body of the decode thread: admits requests to slots, batches their tokens, hands on what comes out.
#pragma once

#include "adapter-turns.h"
#include "batch-plan.h"
#include "context.h"
#include "generation.h"
#include "slots.h"

#include <deque>
#include <memory>
#include <vector>

namespace moebius {

class expert_source;

// Sends the reply to a request; the scheduler forgets it then.
class request_end {
  public:
    virtual ~request_end()                                                            = default;
    virtual void finished(std::unique_ptr<generation> ended, finish_reason reason)       = 0;
    virtual void failed(std::unique_ptr<generation> ended, const user_error & error)     = 0;
};

class scheduler {
  public:
    scheduler(decode_context & context, uint32_t sequences, request_end & end, output & out);
    ~scheduler();

    void add(std::unique_ptr<generation> request) { waiting.push_back(std::move(request)); }
    bool idle() const { return waiting.empty() && running_count == 0; }

    // One round: every running sequence whose adapters have their turn gets a token or a part of its prompt evaluated.
    void step();

    // No adapters are on that no running request has.
    void switch_off_unused();

    // Ends everything as cancelled.
    void cancel_all();

  private:
    using runner = std::unique_ptr<generation>;

    void end_cancelled();
    void admit();
    bool take_turn();
    std::vector<batch_plan> plan();
    uint32_t prompt_tokens_beside_decode() const;
    void run(const batch_plan & plan);
    void run_parts(const batch_plan & plan);
    void fail_plan(const batch_plan & plan, const user_error & error);
    uint32_t fill(const batch_plan & plan);
    bool is_lossy() const;
    void     deliver(const batch_plan & plan, uint32_t token_count);
    void     next_token(runner & g, uint32_t index);
    void     make_room(runner & g);
    void     finish(runner & g, finish_reason reason);
    void     fail(runner & g, const user_error & error);
    void     send_due_frames();
    void     learn_speed(const batch_plan & plan, int64_t took_us);

    decode_context &        context;
    expert_source *         experts;  // null: llama.cpp computes them
    request_end &           end;
    output &                out;
    slot_pool               slots;
    std::vector<runner>     running;  // by slot index; empty: the slot is free
    uint32_t                running_count = 0;
    std::deque<runner>      waiting;
    adapter_turns           turns;
    llama_batch             batch;
    std::vector<uint32_t>   outputs;       // batch indices whose logits are asked
    uint64_t                rounds         = 0;
    int64_t                 frames_due_us  = 0;
    double                  prompt_us      = 0;  // per prompt token, smoothed; 0: not known yet
};

}  // namespace moebius
