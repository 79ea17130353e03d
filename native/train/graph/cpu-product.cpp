#include "cpu-product.h"

#include "shared-work.h"
#include "train/kernels/product.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr int64_t rows_of_piece = 512;  // most; a right factor's panels are made anew for each piece

struct group_piece {
    size_t        group = 0;
    product_piece part;  // of its rows and columns
};

struct group_work : shared_work<group_piece> {
    std::vector<row_group> groups;

    void deal(size_t group, int64_t rows, int64_t columns) {
        for (int64_t n = 0; n < columns; n += product_columns) {
            for (int64_t m = 0; m < rows; m += rows_of_piece) {
                pieces.push_back({ group, { m, std::min(rows, m + rows_of_piece), n, std::min(columns, n + product_columns) } });
            }
        }
    }
};

struct rows_work : group_work {
    std::vector<rows_term> terms;  // whose tensors are the node's sources

    product_term term_of(const rows_term & of, const row_group & group, int32_t matrix) const {
        product_term  made;
        const int64_t k       = of.rows->ne[0];
        made.k                = k;
        made.left.row_stride  = k;
        made.left.factor      = of.factor;
        made.left.data        = static_cast<const float *>(of.rows->data) + group.begin * k;
        made.right.type       = of.stack->type;
        made.right.row_bytes  = of.stack->nb[1];
        made.right.by_k       = of.back;
        made.right.data       = static_cast<const char *>(of.stack->data) + size_t(matrix) * of.stack->nb[2];
        return made;
    }

    void compute(ggml_tensor * result, int threads) {
        const tile_kernels & kernels = tile_kernels_get();
        run(threads, [&](const group_piece & piece) {
            const row_group &         group = groups[piece.group];
            std::vector<product_term> of_group;
            for (const rows_term & term : terms) {
                const int32_t matrix = term.matrices.empty() ? group.matrix : term.matrices[piece.group];
                if (matrix >= 0) {
                    of_group.push_back(term_of(term, group, matrix));
                }
            }
            compute_product(kernels, of_group, static_cast<float *>(result->data) + group.begin * result->ne[0], result->ne[0], piece.part);
        });
    }
};

struct over_rows_work : group_work {
    ggml_tensor *x = nullptr, *y = nullptr;
    float        factor = 1;

    void compute(ggml_tensor * result, int threads) {
        const tile_kernels & kernels = tile_kernels_get();
        run(threads, [&](const group_piece & piece) {
            const row_group & group = groups[piece.group];
            product_term      term;
            term.k                = group.count;
            term.left.data        = static_cast<const float *>(y->data) + group.begin * y->ne[0];
            term.left.row_stride  = 1;
            term.left.k_stride    = y->ne[0];
            term.left.factor      = factor;
            term.right.data       = static_cast<const float *>(x->data) + group.begin * x->ne[0];
            term.right.row_bytes  = x->nb[1];
            term.right.by_k       = true;
            compute_product(kernels, { term }, static_cast<float *>(result->data) + int64_t(piece.group) * result->ne[0] * result->ne[1], result->ne[0], piece.part);
        });
    }
};

void check_rows(const ggml_tensor * rows) {
    GGML_ASSERT(rows->type == GGML_TYPE_F32 && ggml_is_contiguous(rows));
}

}  // namespace

ggml_tensor * product_of_rows(train_tape & tape, int64_t n, int64_t rows, const std::vector<row_group> & groups, const std::vector<rows_term> & terms) {
    auto                       work = std::make_shared<rows_work>();
    std::vector<ggml_tensor *> sources;
    work->groups = groups;
    work->terms  = terms;
    for (const rows_term & term : terms) {
        check_rows(term.rows);
        GGML_ASSERT(term.rows->ne[0] == term.stack->ne[term.back ? 1 : 0] && n == term.stack->ne[term.back ? 0 : 1] && term.stack->nb[0] == ggml_type_size(term.stack->type));
        for (ggml_tensor * source : { term.rows, term.stack }) {
            if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
                sources.push_back(source);
            }
        }
    }
    for (size_t i = 0; i < groups.size(); i++) {
        work->deal(i, groups[i].count, n);
    }
    return node_of(tape, std::move(work), n, rows, 1, std::move(sources));
}

ggml_tensor * product_over_rows(train_tape & tape, ggml_tensor * x, ggml_tensor * y, float factor, const std::vector<row_group> & groups) {
    auto work = std::make_shared<over_rows_work>();
    check_rows(x);
    check_rows(y);
    work->groups = groups;
    work->x      = x;
    work->y      = y;
    work->factor = factor;
    for (size_t i = 0; i < groups.size(); i++) {
        work->deal(i, y->ne[0], x->ne[0]);
    }
    return node_of(tape, std::move(work), x->ne[0], y->ne[0], int64_t(groups.size()), { x, y });
}

}  // namespace moebius
