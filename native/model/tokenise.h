// Text <-> token ids with a model's own vocabulary.
#pragma once

#include "rpc/errors.h"

#include <llama.h>

#include <string>
#include <vector>

namespace moebius {

// add_special: what the model wants in front and behind (BOS, EOS). parse_special: "<|im_start|>" in the text is that
// token, not its characters. Throws prompt.too-long for 2 GiB and more.
std::vector<llama_token> tokenise(const llama_vocab * vocabulary, const std::string & text, bool add_special, bool parse_special);

// The bytes of the tokens, special ones as their text; may end inside a UTF-8 character. Throws request.invalid for an id
// that the vocabulary does not have.
std::string detokenise(const llama_vocab * vocabulary, const std::vector<llama_token> & tokens);

}  // namespace moebius
