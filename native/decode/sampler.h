// Chooses the next token from logits. Everything is llama.cpp's common_sampler; two common cases only spare it the sight of
// the whole vocabulary: plain greedy is one pass here, and if its first real step is top-k, it gets those k tokens.
#pragma once

#include "token-frames.h"

#include <llama.h>
#include <sampling.h>  // libllama-common

#include <cstdint>
#include <memory>
#include <vector>

namespace moebius {

// First index of the largest value; NaNs never win. -1 when nothing is larger than -infinity.
llama_token greedy_token(const float * logits, size_t count);

// The `wanted` tokens with the largest logits, largest first, without those of `never`. Equal ones: the first ones win.
void top_logits(const float * logits, size_t count, size_t wanted, const std::vector<llama_token> & never,
                std::vector<llama_token_data> & into);

// Natural logs of softmax(logits) over the whole vocabulary, before any sampler setting.
class log_softmax {
  public:
    log_softmax(const float * logits, size_t count);
    float of(llama_token token) const { return logits[token] - offset; }
    // the `wanted` most likely tokens, most likely first; equal ones by id
    void top(size_t wanted, std::vector<token_choice> & into) const;

  private:
    const float * logits;
    size_t        count;
    float         offset;  // log of the sum of exp(logits)
};

class token_sampler {
  public:
    // banned: tokens that are never chosen. Throws user_error (sampling.invalid, grammar.invalid).
    token_sampler(const llama_model * model, common_params_sampling parameters, std::vector<llama_token> banned);

    // Prompt tokens, for penalties. Call before the first sample.
    void prime(const std::vector<llama_token> & prompt);

    // The next token, from the logits of token `index` of the last batch. -1: no token has a probability.
    // Throws std::exception when a grammar gets into a state without continuation.
    llama_token sample(llama_context * context, int32_t index, const float * logits);

    uint32_t seed() const { return seed_used; }

  private:
    llama_token greedy(const float * logits);
    llama_token from_top(const float * logits);

    size_t                        vocabulary;
    std::vector<llama_token>      banned;
    uint32_t                      seed_used;
    size_t                        top_count = 0;  // tokens that the chain needs to see; 0: all
    common_sampler_ptr            chain;          // empty: greedy
    std::vector<llama_token_data> candidates;
};

}  // namespace moebius
