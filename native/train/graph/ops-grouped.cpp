#include "ops-grouped.h"

namespace moebius {

namespace {

// A stack with what the forward pass left of it.
struct grouped_use {
    grouped_matrix         of;
    ggml_tensor *          inner = nullptr;  // F32 [r, rows]: a^T x, not scaled
    std::vector<row_group> adapted;          // groups that have an adapter

    grouped_use(const grouped_matrix & matrix, const train_value & x, const std::vector<row_group> & groups) : of(matrix) {
        if (!of.input.tensor) {
            of.input = x;
        }
        for (size_t i = 0; of.lora_a && i < groups.size(); i++) {
            if (of.places[i] >= 0) {
                adapted.push_back(groups[i]);
            }
        }
    }

    bool trains_a() const { return any_of(of.a); }
    bool trains_b() const { return any_of(of.b); }

    static bool any_of(const std::vector<train_value> & values) {
        return std::any_of(values.begin(), values.end(), [](const train_value & value) { return value.wanted(); });
    }
};

void add_slices(train_tape & tape, const std::vector<train_value> & to, ggml_tensor * slices) {
    ggml_set_output(slices);  // they may be read: a view alone would not keep the memory
    size_t at = 0;
    for (const train_value & value : to) {
        if (value.tensor) {
            if (value.wanted()) {
                tape.add_gradient(value, ggml_view_2d(tape.context(), slices, slices->ne[0], slices->ne[1], slices->nb[1], at * slices->nb[2]));
            }
            at++;
        }
    }
}

// Gradients of the adapters, and what their inputs get.
void back_through_adapter(train_tape & tape, const grouped_use & use, ggml_tensor * gradient, const std::vector<row_group> & groups, std::vector<rows_term> & of_input) {
    if (use.trains_b()) {
        add_slices(tape, use.of.b, product_over_rows(tape, use.inner, gradient, use.of.scale, use.adapted));
    }
    if (!use.trains_a() && !use.of.input.wanted()) {
        return;
    }
    ggml_tensor * of_inner = product_of_rows(tape, use.inner->ne[0], gradient->ne[1], groups, { { gradient, use.of.lora_b, true, use.of.scale, use.of.places } });
    if (use.trains_a()) {
        add_slices(tape, use.of.a, product_over_rows(tape, use.of.input.tensor, of_inner, 1, use.adapted));
    }
    of_input.push_back({ of_inner, use.of.lora_a, true, 1, use.of.places });
}

void back_through(train_tape & tape, const train_value & x, const std::vector<row_group> & groups, const std::vector<grouped_use> & uses, const std::vector<ggml_tensor *> & gradients) {
    const int64_t          n = x.tensor->ne[0], rows = x.tensor->ne[1];
    std::vector<rows_term> of_x;
    for (size_t i = 0; i < uses.size(); i++) {
        if (!gradients[i]) {
            continue;
        }
        of_x.push_back({ gradients[i], uses[i].of.weight, true });
        if (uses[i].inner) {
            const bool             is_own = uses[i].of.input.tensor != x.tensor;
            std::vector<rows_term> of_input;
            back_through_adapter(tape, uses[i], gradients[i], groups, is_own ? of_input : of_x);
            if (is_own && uses[i].of.input.wanted()) {
                tape.add_gradient(uses[i].of.input, product_of_rows(tape, n, rows, groups, of_input));
            }
        }
    }
    if (x.wanted()) {
        tape.add_gradient(x, product_of_rows(tape, n, rows, groups, of_x));
    }
}

}  // namespace

std::vector<train_value> train_grouped_linear(train_tape & tape, const train_value & x, const std::vector<row_group> & groups, const std::vector<grouped_matrix> & matrices) {
    const int64_t              rows = x.tensor->ne[1];
    std::vector<grouped_use>   uses;
    std::vector<ggml_tensor *> outputs;
    std::vector<train_value>   inputs{ x };
    for (const grouped_matrix & matrix : matrices) {
        grouped_use            use(matrix, x, groups);
        std::vector<rows_term> terms{ { x.tensor, matrix.weight } };
        if (!use.adapted.empty()) {
            use.inner = product_of_rows(tape, matrix.lora_a->ne[1], rows, groups, { { use.of.input.tensor, matrix.lora_a, false, 1, matrix.places } });
            terms.push_back({ use.inner, matrix.lora_b, false, matrix.scale, matrix.places });
            inputs.push_back(use.of.input);
            inputs.insert(inputs.end(), matrix.a.begin(), matrix.a.end());
            inputs.insert(inputs.end(), matrix.b.begin(), matrix.b.end());
        }
        outputs.push_back(product_of_rows(tape, matrix.weight->ne[1], rows, groups, terms));
        uses.push_back(std::move(use));
    }
    return tape.record(outputs, inputs, [&tape, x, groups, uses](const std::vector<ggml_tensor *> & gradients) { back_through(tape, x, groups, uses, gradients); });
}

}  // namespace moebius
