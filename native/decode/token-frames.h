// TOKENS frames of one generation.
#pragma once

#include "rpc/frame-writer.h"

#include <llama.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moebius {

struct token_choice {
    llama_token token;
    float       logprob;
};

struct token_record {
    llama_token                       token;
    float                             logprob;  // NaN: not asked
    bool                              end_of_generation;
    std::string_view                  text;     // what the token releases
    const std::vector<token_choice> * top;      // alternatives, or nullptr
};

class token_frames {
  public:
    token_frames(uint32_t generation, const llama_vocab * vocab) : generation(generation), vocab(vocab) {}

    void add(const token_record & record);

    bool empty() const { return count == 0; }
    bool holds_first() const { return first_frame && count > 0; }

    std::vector<uint8_t> take_frame();

  private:
    void add_piece(llama_token token);

    static constexpr size_t count_at = 8;  // offset of tokenCount

    uint32_t            generation;
    const llama_vocab * vocab;
    frame_writer        frame;
    uint32_t            count       = 0;
    bool                first_frame = true;
};

// The bytes of a token, special tokens rendered or not.
std::string token_piece(const llama_vocab * vocab, llama_token token, bool special);

}  // namespace moebius
