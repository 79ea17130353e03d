// Gradients of gathers, sums of rows, embeddings, and parts of matrices.
#include "train-check.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-rows.h"

using namespace moebius_test;

namespace {

using values = std::vector<train_value>;

constexpr size_t n = 6;  // numbers in a row

// Rows 0 to 3; row 1 has no copy, row 2 has three.
const std::vector<int32_t> copied{ 2, 0, 2, 3, 2 };

row_map map_of(graph_maker & maker) {
    row_map map;
    map.rows    = maker.ids(copied, 5);
    map.copies  = maker.ids({ 1, 0, 0, 3, 0, 0, 2, 0, 0, 0, 4, 0 }, 4, 3);
    map.present = maker.keep(maker.tape.input(GGML_TYPE_F32, 1, 4, 3), std::vector<float>{ 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0 }.data());
    return map;
}

numbers rows_of(const numbers & x, const std::vector<int32_t> & ids) {
    numbers y;
    for (const int32_t id : ids) {
        y.insert(y.end(), x.begin() + ptrdiff_t(size_t(id) * n), x.begin() + ptrdiff_t(size_t(id + 1) * n));
    }
    return y;
}

void gathers_and_sums() {
    check_op({ "gather", { { n, 4 } }, [](graph_maker & maker, const values & of) { return train_gather(maker.tape, of[0], map_of(maker)); },
               [](const std::vector<numbers> & of) { return rows_of(of[0], copied); } });
    check_op({ "combine", { { n, 5 } }, [](graph_maker & maker, const values & of) { return train_combine(maker.tape, of[0], map_of(maker)); },
               [](const std::vector<numbers> & of) {
                   numbers sums(4 * n, 0.0);
                   for (size_t c = 0; c < copied.size(); c++) {
                       for (size_t i = 0; i < n; i++) {
                           sums[size_t(copied[c]) * n + i] += of[0][c * n + i];
                       }
                   }
                   return sums;
               } });
}

void embeddings() {
    check_op({ "embedding", { { n, 4 } }, [](graph_maker & maker, const values & of) { return train_embedding(maker.tape, of[0], maker.ids(copied, 5)); },
               [](const std::vector<numbers> & of) { return rows_of(of[0], copied); } });
}

void picked_numbers() {
    const std::vector<int32_t> at{ 4, 0, 17, 9 };
    std::vector<int32_t>       back(3 * n, 0);
    std::vector<float>         present(3 * n, 0.0f);
    for (size_t i = 0; i < at.size(); i++) {
        back[size_t(at[i])]    = int32_t(i);
        present[size_t(at[i])] = 1;
    }
    check_op({ "pick", { { n, 3 } },
               [&](graph_maker & maker, const values & of) {
                   return train_pick(maker.tape, of[0], { maker.ids(at, 4), maker.ids(back, 3 * n), maker.floats(present, n, 3) });
               },
               [&](const std::vector<numbers> & of) {
                   numbers y;
                   for (const int32_t i : at) {
                       y.push_back(of[0][size_t(i)]);
                   }
                   return y;
               } });
}

void parts() {
    // the middle part is used twice, the last part not at all, and they come back in another order
    check_op({ "split and join", { { n, 9 }, { n, 1 } },
               [](graph_maker & maker, const values & of) {
                   const values parts = train_split(maker.tape, of[0], { 2, 3, 4 });
                   return train_join(maker.tape, { train_mul(maker.tape, parts[1], parts[1]), of[1], parts[0], parts[1] });
               },
               [](const std::vector<numbers> & of) {
                   const numbers middle = rows_of(of[0], { 2, 3, 4 }), first = rows_of(of[0], { 0, 1 });
                   numbers       y      = middle;
                   for (double & value : y) {
                       value *= value;
                   }
                   for (const numbers & more : { of[1], first, middle }) {
                       y.insert(y.end(), more.begin(), more.end());
                   }
                   return y;
               } });
}

}  // namespace

int main() {
    gathers_and_sums();
    embeddings();
    picked_numbers();
    parts();
    report_ops();
    return check_result();
}
