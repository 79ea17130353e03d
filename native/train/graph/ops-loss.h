// Cross entropy with a head, frozen or trained.
#pragma once

#include "tape.h"

namespace moebius {

struct loss_settings {
    int64_t vocabulary_chunk = 8192;   // tokens whose logits, and whose head rows in F32, are in memory at once
    bool    keep             = false;  // probabilities of all chunks for the gradient: [vocabulary, rows] numbers, one product of three saved
};

// -log softmax(head^T hidden)[label] of each row -> [1, rows].
// hidden: [n_embd, rows], of supervised positions only, after the last norm; head: [n_embd, vocabulary], any type, F32 if it is trained, the tied embeddings as well; labels: I32 [rows].
// The logits of a row are never in memory together. Their log-sum-exp is put together chunk by chunk (as in arXiv 2411.09009) from each chunk's softmax.
train_value train_token_losses(train_tape & tape, const train_value & hidden, const train_value & head, ggml_tensor * labels, const loss_settings & settings = {});

}  // namespace moebius
