#include "ops-loss.h"

#include "nodes.h"

#include <algorithm>

namespace moebius {

namespace {

struct vocabulary_chunk {
    ggml_tensor * head          = nullptr;  // [n_embd, tokens], a view
    ggml_tensor * log_sum       = nullptr;  // [1, rows] of its logits
    ggml_tensor * probabilities = nullptr;  // [tokens, rows] within it, if they are kept
};

softmax_nodes chunk_softmax(train_tape & tape, ggml_tensor * head, ggml_tensor * hidden) {
    return softmax_with_log_sum(tape, through_matrix(tape, head, hidden));
}

}  // namespace

train_value train_token_losses(train_tape & tape, const train_value & hidden, ggml_tensor * head, ggml_tensor * labels, const loss_settings & settings) {
    ggml_context *                context = tape.context();
    std::vector<vocabulary_chunk> chunks;
    ggml_tensor *                 log_sum = nullptr;  // [1, rows] of all chunks so far
    for (int64_t begin = 0; begin < head->ne[1]; begin += settings.vocabulary_chunk) {
        ggml_tensor *       part = columns_of(tape, head, begin, std::min(settings.vocabulary_chunk, head->ne[1] - begin));
        const softmax_nodes made = chunk_softmax(tape, part, hidden.tensor);
        chunks.push_back({ part, made.log_sum, settings.keep ? made.probabilities : nullptr });
        // log(e^a + e^b) = a + softplus(b - a)
        log_sum = log_sum ? tape.emit(ggml_add(context, log_sum, ggml_softplus(context, ggml_sub(context, made.log_sum, log_sum)))) : made.log_sum;
    }
    ggml_tensor * logit = ggml_sum_rows(context, ggml_mul(context, hidden.tensor, rows_of(tape, head, labels)));
    return tape.record(ggml_sub(context, log_sum, logit), { hidden }, [&tape, hidden, head, labels, chunks, log_sum](ggml_tensor * gradient) {
        ggml_context * context = tape.context();
        ggml_tensor *  sum     = ggml_scale(context, ggml_mul(context, rows_of(tape, head, labels), gradient), -1);
        for (const vocabulary_chunk & chunk : chunks) {
            ggml_tensor * probabilities = chunk.probabilities ? chunk.probabilities : tape.emit(ggml_soft_max(context, through_matrix(tape, chunk.head, hidden.tensor)));
            ggml_tensor * mean          = back_through_matrix(tape, chunk.head, probabilities);  // [n_embd, rows]
            ggml_tensor * share         = ggml_mul(context, ggml_exp(context, ggml_sub(context, chunk.log_sum, log_sum)), gradient);
            sum                         = tape.emit(ggml_add(context, sum, ggml_mul(context, mean, share)));
        }
        tape.add_gradient(hidden, sum);
    });
}

}  // namespace moebius
