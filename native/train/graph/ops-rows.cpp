#include "ops-rows.h"

#include "nodes.h"

namespace moebius {

namespace {

ggml_tensor * gathered(train_tape & tape, ggml_tensor * x, const row_map & map) {
    return tape.emit(ggml_get_rows(tape.context(), x, map.rows));
}

ggml_tensor * combined(train_tape & tape, ggml_tensor * y, const row_map & map) {
    ggml_context * context = tape.context();
    const int64_t  rows    = map.copies->ne[0];
    ggml_tensor *  sum     = nullptr;
    for (int64_t i = 0; i < map.copies->ne[1]; i++) {
        ggml_tensor * term = ggml_get_rows(context, y, ggml_view_1d(context, map.copies, rows, size_t(i) * map.copies->nb[1]));
        if (map.present) {
            term = ggml_mul(context, term, ggml_view_2d(context, map.present, 1, rows, map.present->nb[1], size_t(i) * map.present->nb[2]));
        }
        sum = tape.emit(sum ? ggml_add(context, sum, term) : term);
    }
    return sum;
}

}  // namespace

train_value train_gather(train_tape & tape, const train_value & x, const row_map & map) {
    return tape.record(gathered(tape, x.tensor, map), { x }, [&tape, x, map](ggml_tensor * gradient) { tape.add_gradient(x, combined(tape, gradient, map)); });
}

train_value train_combine(train_tape & tape, const train_value & y, const row_map & map) {
    return tape.record(combined(tape, y.tensor, map), { y }, [&tape, y, map](ggml_tensor * gradient) { tape.add_gradient(y, gathered(tape, gradient, map)); });
}

train_value train_embedding(train_tape & tape, const train_value & table, ggml_tensor * ids) {
    return tape.record(rows_of(tape, table.tensor, ids), { table }, [&tape, table, ids](ggml_tensor * gradient) {
        // not with a row_map: it has room for as many copies as the most frequent token has, for every token
        tape.add_gradient(table, ggml_get_rows_back(tape.context(), gradient, ids, table.tensor));
    });
}

train_value train_pick(train_tape & tape, const train_value & x, const number_map & map) {
    ggml_context * context = tape.context();
    ggml_tensor *  numbers = ggml_get_rows(context, ggml_reshape_2d(context, x.tensor, 1, ggml_nelements(x.tensor)), map.at);  // [1, count]
    return tape.record(numbers, { x }, [&tape, x, map](ggml_tensor * gradient) {
        ggml_tensor * all = ggml_reshape(tape.context(), ggml_get_rows(tape.context(), gradient, map.back), x.tensor);
        tape.add_gradient(x, ggml_mul(tape.context(), all, map.present));
    });
}

std::vector<train_value> train_split(train_tape & tape, const train_value & x, const std::vector<int64_t> & counts) {
    std::vector<ggml_tensor *> parts;
    int64_t                    begin = 0;
    for (const int64_t count : counts) {
        parts.push_back(columns_of(tape, x.tensor, begin, count));
        begin += count;
    }
    GGML_ASSERT(begin == x.tensor->ne[1]);
    return tape.record(parts, { x }, [&tape, x, counts](const std::vector<ggml_tensor *> & gradients) { tape.add_gradient(x, joined_columns(tape, gradients, counts)); });
}

train_value train_join(train_tape & tape, const std::vector<train_value> & parts) {
    std::vector<ggml_tensor *> pieces;
    std::vector<int64_t>       counts;
    for (const train_value & part : parts) {
        pieces.push_back(part.tensor);
        counts.push_back(part.tensor->ne[1]);
    }
    return tape.record({ joined_columns(tape, pieces, counts) }, parts, [&tape, parts](const std::vector<ggml_tensor *> & gradients) {
        int64_t begin = 0;
        for (const train_value & part : parts) {
            if (part.wanted()) {
                tape.add_gradient(part, columns_of(tape, gradients[0], begin, part.tensor->ne[1]));
            }
            begin += part.tensor->ne[1];
        }
    })[0];
}

}  // namespace moebius
