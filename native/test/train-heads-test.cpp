// Gradients of parts of rows, of what heads share, and of products with a matrix for each head.
#include "train-check.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-heads.h"

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

constexpr size_t n = 6, m = 4, heads = 3, tokens = 5, n_out = 7;

void numbers_of_rows() {
    // the middle twice over: gradients of both are added up
    check_op({ "numbers", { { n, heads, tokens } },
               [](graph_maker & maker, const values & of) { return train_mul(maker.tape, train_numbers(maker.tape, of[0], 1, 3), train_numbers(maker.tape, of[0], 2, 3)); },
               [](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t row = 0; row < heads * tokens; row++) {
                       for (size_t i = 1; i < 4; i++) {
                           y.push_back(of[0][row * n + i] * of[0][row * n + i + 1]);
                       }
                   }
                   return y;
               } });
}

void shared_numbers() {
    check_op({ "shared by heads", { { n, heads, tokens }, { m, 1, tokens } },
               [](graph_maker & maker, const values & of) { return train_with_shared(maker.tape, of[0], of[1]); },
               [](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t t = 0; t < tokens; t++) {
                       for (size_t h = 0; h < heads; h++) {
                           const auto own = of[0].begin() + ptrdiff_t((t * heads + h) * n), shared = of[1].begin() + ptrdiff_t(t * m);
                           y.insert(y.end(), own, own + n);
                           y.insert(y.end(), shared, shared + m);
                       }
                   }
                   return y;
               } });
}

void transposed_matrices() {
    check_op({ "transposed", { { n, m, heads } }, [](graph_maker & maker, const values & of) { return train_transposed(maker.tape, of[0]); },
               [](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t h = 0; h < heads; h++) {
                       for (size_t i = 0; i < n; i++) {
                           for (size_t j = 0; j < m; j++) {
                               y.push_back(of[0][(h * m + j) * n + i]);
                           }
                       }
                   }
                   return y;
               } });
}

void products_of_heads() {
    check_op({ "linear of heads", { { n, n_out, heads }, { n, heads, tokens } }, [](graph_maker & maker, const values & of) { return train_linear_of_heads(maker.tape, of[0], of[1]); },
               [](const std::vector<numbers> & of) {
                   numbers y;
                   for (size_t t = 0; t < tokens; t++) {
                       for (size_t h = 0; h < heads; h++) {
                           for (size_t o = 0; o < n_out; o++) {
                               double sum = 0;
                               for (size_t i = 0; i < n; i++) {
                                   sum += of[0][(h * n_out + o) * n + i] * of[1][(t * heads + h) * n + i];
                               }
                               y.push_back(sum);
                           }
                       }
                   }
                   return y;
               } });
}

}  // namespace

int main() {
    numbers_of_rows();
    shared_numbers();
    transposed_matrices();
    products_of_heads();
    report_ops();
    return check_result();
}
