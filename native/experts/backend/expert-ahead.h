// Foretells, while a layer is computed, what the next layers of the batch will use, and proposes it to the store.
#pragma once

#include "early-router.h"
#include "experts/dispatch/expert-ffn.h"
#include "experts/policy/gate-confidence.h"
#include "experts/policy/token-paths.h"
#include "experts/store/expert-store.h"

#include <array>

namespace moebius {

// The predictors `router` and `tokens`; `history` is the store's own. Used by the thread that evaluates batches, except where told.
class expert_ahead {
  public:
    // Both outlive it.
    expert_ahead(expert_store & store, const llama_model * model);

    // A batch is about to be evaluated: its tokens, and the indices of those whose logits are asked, ascending. The model's last layer
    // computes only these. Proposes what the tokens point to.
    void announce(const int32_t * tokens, uint32_t count, const std::vector<uint32_t> & outputs);

    // The batch has reached a layer, with all its ids; input: [tokens] rows that entered the router. Copies what `run` needs.
    void start(const expert_batch & batch, row_view input);

    // Proposes, then learns from the layer's ids. Every thread that computes the layer may call it: the first does the work, the others
    // return at once. It is quick against the FFN, and reads begin when it has run.
    void run();

    // Spent in `run` so far. Any thread.
    double seconds() const { return double(spent_us.load(std::memory_order_relaxed)) / 1e6; }

  private:
    static constexpr uint32_t distance_most = 3;
    struct guess {  // of a router that is still to come
        gate_confidence       confidence;
        std::vector<uint32_t> rows;        // of its own batch, that were looked at
        uint32_t              batch_rows = 0;
    };
    struct look {  // to be taken in this layer
        uint32_t           distance = 1;
        std::vector<float> input;  // [rows] of n_embd
    };

    guess & guess_of(uint32_t distance, uint32_t layer) { return guesses[(distance - 1) * layers + layer]; }
    bool    is_last(uint32_t layer) const { return layer + 1 == layers && last_is_cut; }
    bool    devices_have_all(uint32_t layer) const;
    bool    sample(guess & of, uint32_t layer, std::vector<uint32_t> & source_rows) const;
    void    prepare_looks(row_view input);
    void    propose(expert_predictor by, uint32_t layer, std::vector<foreseen_use> foreseen);
    void    propose_by_router();
    void    propose_by_tokens(uint32_t layer);
    void    learn();
    std::vector<int32_t> tokens_in(uint32_t layer, int64_t rows) const;

    expert_store &        store;
    early_router          routers;
    token_paths           paths;
    uint32_t              layers;
    int64_t               n_embd;
    bool                  last_is_cut;  // the last MoE layer is the model's last layer
    std::vector<guess>    guesses;      // [distance - 1][layer]
    std::vector<int32_t>  announced;    // tokens of the batch
    std::vector<uint32_t> outputs;      // of them
    expert_batch          batch;        // that is in `layer` now
    std::vector<look>     looks;
    std::vector<float>    scores;       // [rows][experts], of a look
    std::vector<float>    past;         // [rows][experts]
    std::atomic<bool>     claimed{ true };
    std::atomic<uint64_t> spent_us{ 0 };
};

}  // namespace moebius
