// A tape of the routed experts of a layer on one device: their sum, and its gradients.
#pragma once

#include "dropout.h"
#include "expert-copies.h"
#include "expert-shares.h"
#include "train/graph/tape-job.h"

namespace moebius {

struct expert_inputs {
    const batch_routes &       routes;
    const float_rows &     normed;   // [tokens][n_embd]
    const float_rows &     weights;  // [assignments]
    dropout_stream             dropped    = std::nullopt;
    bool                       is_adapted = true;
    bool                       wants_by_expert = false;  // forward: what each gave, too
};

// As expert_inputs; nothing if they are not wanted.
struct expert_input_gradients {
    float_rows normed, weights;
};

// What experts give of some tokens.
struct expert_sums {
    float_rows of_tokens;  // [tokens][n_embd], weighed
    float_rows by_expert;  // [groups][n_embd], not weighed, added up; if wanted
};

// What a tape of experts is for.
struct expert_purpose {
    bool sums         = false;  // their sum is wanted
    bool trains       = false;  // gradients are
    bool wants_inputs = false;  // of their inputs, too
};

// Gradients of some assignments and their tokens.
struct share_gradients {
    struct part {
        size_t     parameter = 0, offset = 0;  // of adapter::parameters, and where in it
        float_rows values;
    };
    float_rows        normed, weights;
    std::vector<part> parts;
};

// Tensors of a tape of experts: what the ops emit for each in both directions, and some more.
size_t expert_nodes(const expert_groups & groups);

// Emits and keeps the gradients of what a sum of experts is made of; null if none are wanted. An input: the gradient of the sum, to be written before they are computed.
ggml_tensor * keep_gradients(train_tape & tape, const expert_output & of, const train_value & normed, const train_value & weights);

class expert_tape {
  public:
    // here: of `copies`, which outlive it; other arguments are read and forgotten. `share` has tokens.
    expert_tape(const expert_copies & copies, const placed_experts & here, int64_t layer, const expert_share & share, const expert_inputs & inputs, const expert_purpose & purpose);

    // As tape_job's.
    void   lie_in(graph_memory & memory) { what.lie_in(memory); }
    size_t needed() { return what.needed(); }

    // Of the share's tokens and groups. Throws what train_runner does.
    expert_sums sums(train_runner & runner);

    // gradient: of that sum. Throws as above.
    share_gradients gradients(train_runner & runner, const float_rows & gradient);

  private:
    void set_adapters(const expert_share & share, const expert_inputs & inputs);

    const expert_copies &        copies;
    const int64_t                layer;
    const std::vector<int32_t> & experts;  // [slots]
    tape_job                     what;
    expert_ffn                   ffn;
    expert_output                made;
    train_value                  normed, weights;
    ggml_tensor *                of_sum = nullptr;  // its gradient; null: nothing is trained
};

// Whether rows, each at most once, are a matrix [size / n][n] as it is.
bool are_all(const std::vector<int32_t> & rows, int64_t n, size_t size);

// These rows of a matrix [all][n]: itself, or `some`, made of copies.
const float_rows & rows_of(const float_rows & all, const std::vector<int32_t> & rows, int64_t n, float_rows & some);

}  // namespace moebius
