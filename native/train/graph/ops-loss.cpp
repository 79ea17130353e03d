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

// What it takes to go back through all chunks.
struct chunked_losses {
    train_value                   hidden, head;
    ggml_tensor *                 labels  = nullptr;
    ggml_tensor *                 log_sum = nullptr;  // [1, rows] of all chunks
    std::vector<vocabulary_chunk> chunks;
};

// One chunk after the other: of the hidden numbers [n_embd, rows], of the head [n_embd, vocabulary].
void back_through_losses(train_tape & tape, const chunked_losses & of, ggml_tensor * gradient) {
    ggml_context *             context = tape.context();
    ggml_tensor *              sum     = of.hidden.wanted() ? ggml_scale(context, ggml_mul(context, rows_of(tape, of.head.tensor, of.labels), gradient), -1) : nullptr;
    std::vector<ggml_tensor *> of_head;
    std::vector<int64_t>       counts;
    for (const vocabulary_chunk & chunk : of.chunks) {
        ggml_tensor * probabilities = chunk.probabilities ? chunk.probabilities : tape.emit(ggml_soft_max(context, through_matrix(tape, chunk.head, of.hidden.tensor)));
        ggml_tensor * share         = tape.emit(ggml_mul(context, ggml_exp(context, ggml_sub(context, chunk.log_sum, of.log_sum)), gradient));  // [1, rows]
        if (sum) {
            ggml_tensor * mean = back_through_matrix(tape, chunk.head, probabilities);  // [n_embd, rows]
            sum                = tape.emit(ggml_add(context, sum, ggml_mul(context, mean, share)));
        }
        if (of.head.wanted()) {
            of_head.push_back(back_to_matrix(tape, of.hidden.tensor, tape.emit(ggml_mul(context, probabilities, share))));
            counts.push_back(chunk.head->ne[1]);
        }
    }
    if (sum) {
        tape.add_gradient(of.hidden, sum);
    }
    if (of.head.wanted()) {
        ggml_tensor * of_labels = ggml_get_rows_back(context, tape.emit(ggml_mul(context, of.hidden.tensor, gradient)), of.labels, of.head.tensor);
        tape.add_gradient(of.head, tape.emit(ggml_sub(context, joined_columns(tape, of_head, counts), tape.emit(of_labels))));
    }
}

}  // namespace

train_value train_token_losses(train_tape & tape, const train_value & hidden, const train_value & head, ggml_tensor * labels, const loss_settings & settings) {
    ggml_context * context = tape.context();
    chunked_losses all{ hidden, head, labels, nullptr, {} };
    for (int64_t begin = 0; begin < head.tensor->ne[1]; begin += settings.vocabulary_chunk) {
        ggml_tensor *       part = columns_of(tape, head.tensor, begin, std::min(settings.vocabulary_chunk, head.tensor->ne[1] - begin));
        const softmax_nodes made = chunk_softmax(tape, part, hidden.tensor);
        all.chunks.push_back({ part, made.log_sum, settings.keep ? made.probabilities : nullptr });
        // log(e^a + e^b) = a + softplus(b - a)
        all.log_sum = all.log_sum ? tape.emit(ggml_add(context, all.log_sum, ggml_softplus(context, ggml_sub(context, made.log_sum, all.log_sum)))) : made.log_sum;
    }
    ggml_tensor * logit = ggml_sum_rows(context, ggml_mul(context, hidden.tensor, rows_of(tape, head.tensor, labels)));
    return tape.record(ggml_sub(context, all.log_sum, logit), { hidden, head }, [&tape, all](ggml_tensor * gradient) { back_through_losses(tape, all, gradient); });
}

}  // namespace moebius
