// Gradients of cross entropy with a vocabulary in chunks: of hidden numbers and of a head that is trained.
#include "train-check.h"
#include "train/graph/ops-loss.h"

using namespace moebius_test;

namespace {

constexpr size_t embd = 32, vocabulary = 23, rows = 5;

// head: [vocabulary][embd], hidden: [rows][embd]
numbers losses(const numbers & head, const numbers & hidden, const std::vector<int32_t> & labels) {
    numbers y;
    for (size_t t = 0; t < rows; t++) {
        double sum = 0, right = 0;
        for (size_t v = 0; v < vocabulary; v++) {
            double logit = 0;
            for (size_t i = 0; i < embd; i++) {
                logit += head[v * embd + i] * hidden[t * embd + i];
            }
            sum += std::exp(logit);  // at most e^600 below
            right = int32_t(v) == labels[t] ? logit : right;
        }
        y.push_back(std::log(sum) - right);
    }
    return y;
}

void token_losses(int64_t chunk, bool keep, ggml_type type, double spread) {
    const std::vector<int32_t> labels{ 0, 22, 7, 8, 8 };
    check_op({ "token losses in chunks of " + std::to_string(chunk), { { embd, vocabulary, 1, type == GGML_TYPE_F32, type }, { embd, rows, 1, true, GGML_TYPE_F32, spread } },
               [&](graph_maker & maker, const std::vector<train_value> & of) {
                   return train_token_losses(maker.tape, of[1], of[0], maker.ids(labels, rows), { chunk, keep });
               },
               [&](const std::vector<numbers> & of) { return losses(of[0], of[1], labels); } });
}

}  // namespace

int main() {
    for (const int64_t chunk : { 8, 23, 100 }) {
        for (const bool keep : { false, true }) {
            token_losses(chunk, keep, GGML_TYPE_F32, 0.3);
        }
    }
    token_losses(8, false, GGML_TYPE_Q8_0, 0.3);
    token_losses(8, false, GGML_TYPE_F32, 30);  // logits whose exponentials no float holds
    report_ops();
    return check_result();
}
