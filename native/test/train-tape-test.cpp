// The tape: what is emitted, what is added up, what is left out.
#include "train-check.h"
#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-linear.h"

using namespace moebius_test;

namespace {

struct small_graph {
    train_tape  tape{ train_devices()[0], 256 };
    train_value x = tape.variable(tape.input(GGML_TYPE_F32, 4, 3)), w = tape.variable(tape.input(GGML_TYPE_F32, 4, 2));
    train_value constant{ tape.input(GGML_TYPE_F32, 4, 3) };

    int nodes() const { return ggml_graph_n_nodes(tape.graph()); }
};

void constants_have_no_gradient() {
    small_graph       g;
    const train_value y = train_silu(g.tape, g.constant);
    CHECK(!y.wanted());
    CHECK(train_add(g.tape, y, g.x).wanted());
    const int before = g.nodes();
    g.tape.backward();
    CHECK_EQUAL(g.nodes(), before);
    CHECK(g.tape.gradient(g.constant) == nullptr);
}

void what_nothing_depends_on_emits_nothing() {
    small_graph       g;
    const train_value used = train_silu(g.tape, g.x), unused = train_linear(g.tape, g.w, g.x);
    CHECK(unused.wanted());
    const int before = g.nodes();
    g.tape.add_gradient(used, g.tape.input(GGML_TYPE_F32, 4, 3));
    g.tape.backward();
    CHECK_EQUAL(g.nodes(), before + 1);  // silu_back
    CHECK(g.tape.gradient(g.w) == nullptr);
    CHECK(g.tape.gradient(g.x) != nullptr);
}

void a_weight_that_nobody_wants_costs_nothing() {
    small_graph all, frozen;
    for (small_graph * g : { &all, &frozen }) {
        if (g == &frozen) {
            g->w = train_value(g->w.tensor);
        }
        const train_value y = train_linear(g->tape, g->w, g->x);
        g->tape.add_gradient(y, g->tape.input(GGML_TYPE_F32, 2, 3));
        g->tape.backward();
    }
    // the product of x and y's gradient over their rows
    CHECK_EQUAL(all.nodes(), frozen.nodes() + 1);
}

void gradients_of_several_uses_and_seeds_are_added() {
    train_runner      runner(train_devices()[0], 1);
    small_graph       g;
    const train_value twice = train_add(g.tape, train_scale(g.tape, g.x, 2), g.x);
    const train_value sum   = train_sum(g.tape, g.x);
    ggml_tensor *     of_twice = g.tape.input(GGML_TYPE_F32, 4, 3), * of_sum = g.tape.input(GGML_TYPE_F32, 1);
    g.tape.add_gradient(sum, of_sum);
    g.tape.add_gradient(twice, of_twice);
    g.tape.backward();
    g.tape.keep(g.tape.gradient(g.x));
    runner.allocate(g.tape.graph());
    runner.write(g.x.tensor, std::vector<float>(12, 1.0f).data());
    std::vector<float> seed(12);
    for (size_t i = 0; i < seed.size(); i++) {
        seed[i] = float(i);
    }
    const float of_the_sum = 100;
    runner.write(of_twice, seed.data());
    runner.write(of_sum, &of_the_sum);
    runner.compute(g.tape.graph());
    const float_rows found = runner.read(g.tape.gradient(g.x));
    for (size_t i = 0; i < found.size(); i++) {
        CHECK_EQUAL(found[i], 3 * float(i) + 100);  // small integers: exact
    }
}

void memory_of_rows_is_used_again() {
    constexpr size_t count = 1 << 20;
    const float *    first = nullptr;
    {
        const float_rows rows(count);
        first = rows.data();
    }
    CHECK_EQUAL(spare_memory_bytes(), count * sizeof(float));
    {
        const float_rows fewer(count - 1000), more(count);
        CHECK(fewer.data() == first && more.data() != first);
    }
    CHECK_EQUAL(spare_memory_bytes(), 2 * count * sizeof(float));
    {
        const float_rows many(4 * count);  // nothing fits, and both are more than a quarter of it
        CHECK_EQUAL(spare_memory_bytes(), count * sizeof(float));
    }
    release_spare_memory();
    CHECK_EQUAL(spare_memory_bytes(), size_t(0));
    const std::vector<float> small(16);
    CHECK_EQUAL(float_rows(small.begin(), small.end()).size(), small.size());
    CHECK_EQUAL(spare_memory_bytes(), size_t(0));
}

}  // namespace

int main() {
    constants_have_no_gradient();
    what_nothing_depends_on_emits_nothing();
    a_weight_that_nobody_wants_costs_nothing();
    gradients_of_several_uses_and_seeds_are_added();
    memory_of_rows_is_used_again();
    return check_result();
}
