#include "token-frames.h"

#include <algorithm>

namespace moebius {

std::string token_piece(const llama_vocab * vocab, llama_token token, bool special) {
    char          buffer[128];
    const int32_t length = llama_token_to_piece(vocab, token, buffer, sizeof(buffer), 0, special);
    if (length >= 0) {
        return std::string(buffer, size_t(length));
    }
    std::string longer(size_t(-length), 0);
    llama_token_to_piece(vocab, token, longer.data(), -length, 0, special);
    return longer;
}

void token_frames::add_piece(llama_token token) {
    const std::string piece  = token_piece(vocab, token, true);
    const size_t      length = std::min<size_t>(piece.size(), UINT16_MAX);
    frame.u16(uint16_t(length));
    frame.text(piece.data(), length);
}

void token_frames::add(const token_record & record) {
    if (count++ == 0) {
        frame.reserve(1024);
        frame.begin(frame_kind::tokens, generation);
        frame.u32(0);
    }
    frame.i32(record.token);
    frame.f32(record.logprob);
    frame.u8(record.end_of_generation ? 1 : 0);
    frame.u8(uint8_t(record.top ? record.top->size() : 0));
    frame.u16(uint16_t(record.text.size()));
    frame.text(record.text.data(), record.text.size());
    if (record.top) {
        for (const token_choice & choice : *record.top) {
            frame.i32(choice.token);
            frame.f32(choice.logprob);
            add_piece(choice.token);
        }
    }
}

std::vector<uint8_t> token_frames::take_frame() {
    frame.set_u32(count_at, count);
    count       = 0;
    first_frame = false;
    return frame.take();
}

}  // namespace moebius
