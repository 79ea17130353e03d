#include "expert-ffn.h"

#include "experts/store/super-expert-finder.h"
#include "matrix-tiles.h"

#include <algorithm>
#include <cstring>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#    include <immintrin.h>
#endif

namespace moebius {

namespace {

constexpr int64_t block_most     = 256;  // rows of a task; also a multiple of every quantisation block
constexpr int     tasks_a_thread = 2;    // at least, of each step of an expert

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
    __asm__ __volatile__("yield");
#endif
}

// For what another thread is just computing.
template <typename Condition> void spin_until(Condition && condition) {
    for (int i = 0; !condition(); i++) {
        if (i < 2000) {
            relax();
        } else {
            std::this_thread::yield();
        }
    }
}

// Rows of a task: several tasks a thread, whole quantisation blocks.
int64_t block_of(int64_t rows, int64_t unit, int threads) {
    const int64_t wanted = rows / (int64_t(threads) * tasks_a_thread);
    return std::clamp(wanted / unit * unit, std::max<int64_t>(unit, 32), std::max(unit, block_most));
}

// Compares bits, as magnitudes are ordered like them: that takes vectors of values at a time.
float largest_magnitude(const float * values, int64_t count) {
    uint32_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof(bits));
        most = std::max(most, bits & 0x7fffffffu);
    }
    float result;
    std::memcpy(&result, &most, sizeof(result));
    return result;
}

}  // namespace

bool expert_ffn::supports(const expert_layout & layout) {
    const cpu_kernels & kernels = cpu_kernels_get();
    const auto          usable  = [&](const expert_part & part) {
        const ggml_type_traits_cpu * traits = kernels.traits(part.type);
        return traits && traits->vec_dot && kernels.traits(traits->vec_dot_type)->from_float &&
               block_most % ggml_blck_size(traits->vec_dot_type) == 0;
    };
    return kernels.traits && std::all_of(layout.layers.begin(), layout.layers.end(), [&](const expert_layer & layer) {
               return std::all_of(layer.parts.begin(), layer.parts.end(), usable);
           });
}

uint64_t expert_ffn::scratch_bytes(const expert_layout & layout, uint32_t tokens) {
    const cpu_kernels & kernels = cpu_kernels_get();
    uint64_t            most    = 0;
    for (const expert_layer & layer : layout.layers) {
        const expert_part & in   = layer.parts.front();
        const expert_part & down = layer.parts.back();
        const uint64_t      rows = uint64_t(tokens) * layout.used;
        const uint64_t      own  = tokens * ggml_row_size(kernels.traits(in.type)->vec_dot_type, in.n_in) +
                             rows * (ggml_row_size(kernels.traits(down.type)->vec_dot_type, down.n_in) + uint64_t(down.n_out) * sizeof(float));
        most = std::max(most, own + 2 * tokens * uint64_t(down.n_out) * sizeof(float));
    }
    return most;
}

void expert_ffn::prepare(const expert_batch & next, row_view from, row_view to, int threads) {
    batch       = next;
    input       = from;
    output      = to;
    layer       = &source.layout().layers[batch.layer];
    n_embd      = layer->parts.back().n_out;
    n_ff        = layer->parts.back().n_in;
    input_type  = kernels.traits(layer->parts.front().type)->vec_dot_type;
    hidden_type = kernels.traits(layer->parts.back().type)->vec_dot_type;
    input_bytes  = ggml_row_size(input_type, n_embd);
    hidden_bytes = ggml_row_size(hidden_type, n_ff);
    inputs.resize(size_t(batch.tokens) * input_bytes);
    hiddens.resize(size_t(batch.tokens * batch.used) * hidden_bytes);
    outputs.resize(size_t(batch.tokens * batch.used * n_embd));
    group_by_expert();
    list_tasks(threads);
    next_token = tokens_ready = next_task = 0;
    groups_left                           = uint32_t(groups.size());
    failed                                = false;
}

void expert_ffn::group_by_expert() {
    const size_t          experts = source.layout().experts;
    std::vector<uint32_t> counts(experts + 1, 0);
    std::vector<float>    weights(experts, 0.0f);
    for (size_t i = 0; i < batch.ids.size(); i++) {
        if (batch.ids[i] >= 0) {
            counts[size_t(batch.ids[i])]++;
            weights[size_t(batch.ids[i])] += batch.weights[i];
        }
    }
    uses.clear();
    for (uint32_t e = 0; e < experts; e++) {
        if (counts[e] > 0) {
            uses.push_back({ e, counts[e], weights[e] });
        }
    }
    source.begin(batch.layer, uses);
    groups = std::vector<group>(uses.size());
    std::vector<uint32_t> at(experts, 0);
    uint32_t              first = 0;
    for (size_t g = 0; g < uses.size(); g++) {
        groups[g].expert = uses[g].expert;
        groups[g].first  = first;
        groups[g].count  = uses[g].tokens;
        at[uses[g].expert] = first;
        first += uses[g].tokens;
    }
    members.resize(batch.ids.size());
    for (uint32_t i = 0; i < batch.ids.size(); i++) {
        if (batch.ids[i] >= 0) {
            members[at[size_t(batch.ids[i])]++] = i;
        }
    }
}

void expert_ffn::add_tasks(uint32_t group, phase step, int64_t rows, int64_t block) {
    for (int64_t begin = 0; begin < rows; begin += block) {
        tasks.push_back({ group, step, begin, std::min(begin + block, rows) });
    }
    const uint32_t count = uint32_t((rows + block - 1) / block);
    if (step == phase::hidden) {
        groups[group].hidden_left = count;
    } else if (step == phase::output) {
        groups[group].output_left = count;
    }
}

// hidden(0), hidden(1), output(0), hidden(2), output(1), ...: when an output comes up, its hidden is done or nearly so. At most two
// experts are in work at a time, which is why a layer has two slots at least.
void expert_ffn::list_tasks(int threads) {
    tasks.clear();
    const int64_t hidden_block = block_of(n_ff, ggml_blck_size(hidden_type), threads);
    const int64_t output_block = block_of(n_embd, 1, threads);
    for (uint32_t g = 0; g <= groups.size(); g++) {
        if (g < groups.size()) {
            add_tasks(g, phase::hidden, n_ff, hidden_block);
        }
        if (g > 0) {
            add_tasks(g - 1, phase::output, n_embd, output_block);
        }
    }
    const int64_t values = batch.tokens * n_embd;
    add_tasks(0, phase::combine, values, std::max<int64_t>(1024, values / (int64_t(threads) * 4)));
}

void expert_ffn::quantise_input() {
    const ggml_from_float_t from_float = kernels.traits(input_type)->from_float;
    for (uint32_t t = next_token++; t < uint32_t(batch.tokens); t = next_token++) {
        from_float(input.row(t), inputs.data() + t * input_bytes, n_embd);
        tokens_ready.fetch_add(1, std::memory_order_release);
    }
    spin_until([&] { return tokens_ready.load(std::memory_order_acquire) == uint32_t(batch.tokens); });
}

// hiddens[.., begin..end) of the group's tokens = swiglu(gate x, up x), quantised.
void expert_ffn::hidden(group & group, int64_t begin, int64_t end) {
    const bool           fused = layer->parts.front().matrix == expert_matrix::gate_up;
    const expert_part &  part  = layer->parts.front();
    const uint8_t *      gate  = source.wait(batch.layer, group.expert, 0);
    const uint8_t *      up    = fused ? gate : source.wait(batch.layer, group.expert, 1);
    if (!gate || !up) {
        failed = true;
        return;
    }
    const expert_part & up_part = fused ? part : layer->parts[1];
    up += fused ? size_t(n_ff) * ggml_row_size(part.type, part.n_in) : 0;
    const matrix_rows gate_rows = rows_of(kernels, part, gate), up_rows = rows_of(kernels, up_part, up);
    const auto from_float = kernels.traits(hidden_type)->from_float;
    float      gates[tile_tokens][block_most], ups[tile_tokens][block_most];
    for (uint32_t from = 0; from < group.count; from += tile_tokens) {
        const uint32_t * member = members.data() + group.first + from;
        const int64_t    count  = std::min<int64_t>(tile_tokens, group.count - from);
        const auto       column = [&](int64_t c) { return inputs.data() + size_t(member[c] / batch.used) * input_bytes; };
        multiply(gate_rows, begin, end, count, column, [&](int64_t c) { return gates[c]; });
        multiply(up_rows, begin, end, count, column, [&](int64_t c) { return ups[c]; });
        for (int64_t c = 0; c < count; c++) {
            kernels.swiglu(int(end - begin), gates[c], gates[c], ups[c]);
            from_float(gates[c], hiddens.data() + member[c] * hidden_bytes + ggml_row_size(hidden_type, begin), end - begin);
        }
    }
}

// outputs[.., begin..end) of the group's tokens = down hidden.
void expert_ffn::output_rows(group & group, int64_t begin, int64_t end) {
    spin_until([&] { return group.hidden_left.load(std::memory_order_acquire) == 0; });
    const uint32_t      index = uint32_t(layer->parts.size() - 1);
    const expert_part & part  = layer->parts[index];
    const uint8_t *     down  = source.wait(batch.layer, group.expert, index);
    if (!down || failed) {
        failed = true;
        return;
    }
    const uint32_t * member = members.data() + group.first;
    multiply(rows_of(kernels, part, down), begin, end, group.count, [&](int64_t c) { return hiddens.data() + member[c] * hidden_bytes; },
             [&](int64_t c) { return outputs.data() + member[c] * n_embd + begin; });
    if (source.finder) {
        float peak = 0.0f;
        for (uint32_t c = 0; c < group.count; c++) {
            peak = std::max(peak, largest_magnitude(outputs.data() + member[c] * n_embd + begin, end - begin));
        }
        source.finder->saw(uint32_t(batch.layer), group.expert, peak);
    }
}

void expert_ffn::end_of_group(group & group) {
    source.finish(batch.layer, group.expert);
    groups_left.fetch_sub(1, std::memory_order_release);
}

// Values begin..end of output [tokens][n_embd]: first the products, then their sum from k = 0 on, each rounded, as llama.cpp's MUL
// and ADDs do.
void expert_ffn::combine(int64_t begin, int64_t end) {
    spin_until([&] { return groups_left.load(std::memory_order_acquire) == 0; });
    if (failed) {
        return;
    }
    for (int64_t at = begin; at < end;) {
        const int64_t token = at / n_embd, column = at % n_embd;
        const int64_t count = std::min(n_embd - column, end - at);
        float *       to    = output.row(token) + column;
        bool          first = true;
        for (int64_t k = 0; k < batch.used; k++) {
            if (batch.ids[size_t(token * batch.used + k)] < 0) {
                continue;
            }
            const float   weight = batch.weights[size_t(token * batch.used + k)];
            const float * from   = outputs.data() + (token * batch.used + k) * n_embd + column;
            for (int64_t i = 0; i < count; i++) {
                const float product = from[i] * weight;
                to[i]               = first ? product : to[i] + product;
            }
            first = false;
        }
        if (first) {
            std::fill(to, to + count, 0.0f);
        }
        at += count;
    }
}

void expert_ffn::run() {
    quantise_input();
    for (uint32_t i = next_task++; i < tasks.size(); i = next_task++) {
        const task & task  = tasks[i];
        group &      group = groups[task.group];
        if (task.step == phase::hidden) {
            hidden(group, task.begin, task.end);
            group.hidden_left.fetch_sub(1, std::memory_order_release);
        } else if (task.step == phase::output) {
            output_rows(group, task.begin, task.end);
            if (group.output_left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                end_of_group(group);
            }
        } else {
            combine(task.begin, task.end);
        }
    }
}

bool expert_ffn::finish() {
    return !failed;
}

}  // namespace moebius
