// Both ends of a pass: the embedding, and the last norm with the head and the loss.
#include "pass.h"

#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-loss.h"
#include "train/graph/ops-norm.h"

#include <algorithm>
#include <cstdio>

namespace moebius {

namespace {

// Which rows of a matrix are taken, each at most once.
struct taken_rows {
    std::vector<int32_t> copies;   // [all]
    std::vector<float>   present;  // [all]

    taken_rows(const std::vector<int32_t> & rows, size_t all) : copies(all, 0), present(all, 0.0f) {
        for (size_t i = 0; i < rows.size(); i++) {
            copies[size_t(rows[i])]  = int32_t(i);
            present[size_t(rows[i])] = 1;
        }
    }
};

// The last norm, the head and the losses of supervised rows on a tape, with what is trained of them.
struct loss_graph {
    tape_job                   what;
    train_value                hidden, losses;  // [n_embd, tokens], [1, rows]
    std::vector<parameter_use> uses;

    // trains: gradients of parameters are wanted; is_below: that of the hidden numbers, too
    loss_graph(ggml_backend_dev_t device, const base_shape & shape, const base_weights & base, const adapter_tensors & with, const token_batch & batch, const float_rows & numbers,
               bool trains, bool is_below)
        : what(device, 4096 + 64 * size_t(shape.vocabulary / loss_settings().vocabulary_chunk + 1)) {
        const int64_t    tokens = int64_t(batch.tokens.size()), count = int64_t(batch.rows.size());
        const taken_rows taken(batch.rows, batch.tokens.size());
        const auto       value = [&](ggml_tensor * frozen) {
            const whole_tensor whole = with.whole_of(frozen);
            if (!whole.tensor || !trains) {
                return train_value(whole.tensor ? whole.tensor : frozen);
            }
            uses.push_back({ whole.index, what.tape.variable(whole.tensor) });
            return uses.back().value;
        };
        ggml_tensor * const input = what.floats(numbers, shape.n_embd, tokens);
        hidden                    = is_below ? what.tape.variable(input) : train_value(input);
        row_map map;
        map.rows    = what.ids(batch.rows, count);
        map.copies  = what.ids(taken.copies, tokens);
        map.present = ggml_reshape_3d(what.tape.context(), what.floats(taken.present, tokens), 1, tokens, 1);
        const train_value last = train_rms_norm(what.tape, train_gather(what.tape, hidden, map), value(base.norm()), shape.norm_epsilon);
        losses                 = train_token_losses(what.tape, train_scale(what.tape, last, shape.logit_scale), value(base.head()), what.ids(batch.labels, count));
        what.tape.keep(losses.tensor);
    }

    void read(const token_batch & batch, pass_result & result) const {
        const float_rows found = train_runner::read(losses.tensor);
        result.row_losses.assign(found.begin(), found.end());
        for (size_t i = 0; i < result.row_losses.size(); i++) {
            result.loss += double(batch.weights[i]) * double(result.row_losses[i]);
        }
    }
};

}  // namespace

train_pass::rows train_pass::embedded(const token_batch & batch, bool is_adapted) {
    tape_job           what(device, 64);
    const whole_tensor whole = (is_adapted ? adapters : no_adapters).whole_of(base.embedding());
    const train_value  x     = train_embedding(what.tape, train_value(whole.tensor ? whole.tensor : base.embedding()), what.ids(batch.tokens, int64_t(batch.tokens.size())));
    ggml_tensor *      y     = what.tape.keep(train_scale(what.tape, x, shape.embedding_scale).tensor);
    what.run(runner);
    return train_runner::read(y);
}

// On the host: rows of the batch's tokens, in their order.
void train_pass::back_through_embedding(const token_batch & batch, const rows & gradient, adapter & of) const {
    const whole_tensor whole = adapters.whole_of(base.embedding());
    if (!whole.tensor) {
        return;
    }
    for (size_t i = 0; i < gradient.size(); i++) {
        const size_t n = size_t(shape.n_embd), row = size_t(batch.tokens[i / n]);
        of.parameters[whole.index].gradient[row * n + i % n] += shape.embedding_scale * gradient[i];
    }
}

void train_pass::loss_of(const token_batch & batch, const rows & hidden, bool is_adapted, pass_result & result) {
    loss_graph graph(device, shape, base, is_adapted ? adapters : no_adapters, batch, hidden, false, false);
    graph.what.run(runner);
    graph.read(batch, result);
}

// Gives the gradient of `hidden`, if something below is trained.
train_pass::rows train_pass::back_through_loss(const token_batch & batch, const rows & hidden, adapter & of, pass_result & result) {
    loss_graph   graph(device, shape, base, adapters, batch, hidden, true, trains_below(of, shape.layers));
    train_tape & tape = graph.what.tape;
    if (graph.losses.wanted()) {
        tape.add_gradient(graph.losses, ggml_reshape_2d(tape.context(), graph.what.floats(batch.weights, int64_t(batch.rows.size())), 1, int64_t(batch.rows.size())));
    }
    tape.backward();
    ggml_tensor * const below = tape.gradient(graph.hidden);
    if (below) {
        tape.keep(below);
    }
    keep_gradients(tape, graph.uses);
    graph.what.run(runner);
    graph.read(batch, result);
    add_up_gradients(tape, graph.uses, of);
    return below ? train_runner::read(below) : rows();
}

// Of what is not a layer's, only the embedding is below any.
bool train_pass::trains_below(const adapter & of, int64_t layer) const {
    return std::any_of(of.parameters.begin(), of.parameters.end(), [&](const train_parameter & parameter) {
        int of_layer = 0;
        return std::sscanf(parameter.name.c_str(), "blk.%d.", &of_layer) == 1 ? of_layer < layer : parameter.name == base.embedding()->name;
    });
}

}  // namespace moebius
