#include "plan-timer.h"

#include "experts/dispatch/device-cost.h"
#include "experts/store/file-reader.h"
#include "experts/store/slot-memory.h"
#include "rpc/errors.h"

#include <algorithm>
#include <chrono>
#include <future>

namespace moebius {

namespace {

constexpr double   held_bytes_most      = 192e6;  // of experts, more than caches hold
constexpr double   ffn_operations_most = 16e9;   // of one measurement
constexpr int      ffn_runs         = 3;
constexpr uint32_t readers         = 4;      // as expert_store_settings

expert_layout one_layer(const expert_layout & of, uint32_t layer, uint32_t experts) {
    expert_layout one;
    one.layers  = { of.layers[layer] };
    one.experts = experts;
    one.used    = of.used;
    return one;
}

// One layer whose experts are all in RAM; of a large one as many as caches cannot hold, which the others share.
class layer_in_ram : public expert_source {
  public:
    layer_in_ram(const expert_layout & of, uint32_t layer, uint32_t experts) : expert_source(one_layer(of, layer, experts)) {
        held = std::clamp(uint32_t(held_bytes_most / expert_bytes(all.layers[0])), 1u, experts);
        for (const expert_part & part : all.layers[0].parts) {
            matrices.emplace_back(size_t(held) * part.bytes, uint8_t(0));
        }
    }

    void            begin(uint32_t, std::vector<expert_use> &) override {}
    const uint8_t * wait(uint32_t, uint32_t expert, uint32_t part) override { return matrices[part].data() + size_t(expert % held) * all.layers[0].parts[part].bytes; }
    void            finish(uint32_t, uint32_t) override {}

  private:
    uint32_t                          held = 1;
    std::vector<std::vector<uint8_t>> matrices;  // [part]
};

void run_ffn(ggml_tensor *, int, int, void * ffn) {
    static_cast<expert_ffn *>(ffn)->run();
}

std::string ffn_key(const expert_layout & layout, uint32_t layer, uint32_t tokens) {
    std::string key = "experts " + std::to_string(layout.experts) + "," + std::to_string(layout.used) + "," + std::to_string(tokens);
    for (const expert_part & part : layout.layers[layer].parts) {
        key += std::string(" ") + ggml_type_name(part.type) + "," + std::to_string(part.n_in) + "," + std::to_string(part.n_out);
    }
    return key;
}

}  // namespace

double expert_operations(const expert_layer & layer) {
    double sum = 0;
    for (const expert_part & part : layer.parts) {
        sum += 2.0 * double(part.n_in) * double(part.n_out);
    }
    return sum;
}

double expert_bytes(const expert_layer & layer) {
    double sum = 0;
    for (const expert_part & part : layer.parts) {
        sum += double(part.bytes);
    }
    return sum;
}

// Tokens choose experts in turn, and every run goes on where the last one ended: a single token never finds its experts in a cache.
double node_timer::expert_seconds(const expert_layout & layout, uint32_t layer, uint32_t tokens) {
    const auto measure = [&] {
        const double   work    = double(tokens) * layout.used * expert_operations(layout.layers[layer]);
        const double   part    = std::min(1.0, ffn_operations_most / work);
        const uint32_t fewer   = std::clamp(uint32_t(double(tokens) * part), 1u, tokens);
        const uint32_t experts = std::clamp(uint32_t(double(layout.experts) * double(fewer) / double(tokens)), layout.used, layout.experts);
        layer_in_ram       source(layout, layer, experts);
        expert_ffn         ffn(source, cpu_kernels_get());
        const int64_t      n_embd = layout.layers[layer].parts.back().n_out;
        std::vector<float> input(size_t(n_embd * fewer), 0.5f), output(input.size());
        const row_view     from{ reinterpret_cast<char *>(input.data()), size_t(n_embd) * sizeof(float) };
        const row_view     to{ reinterpret_cast<char *>(output.data()), from.stride };
        expert_batch       batch;
        batch.tokens = fewer;
        batch.used   = layout.used;
        batch.ids.resize(size_t(fewer) * layout.used);
        batch.weights.assign(batch.ids.size(), 0.5f);
        const ggml_context_ptr context(ggml_init({ 2 * ggml_tensor_overhead() + ggml_graph_overhead_custom(1, false), nullptr, true }));
        ggml_cgraph *          graph = ggml_new_graph_custom(context.get(), 1, false);
        ggml_tensor *          node  = ggml_custom_4d(context.get(), GGML_TYPE_F32, 1, 1, 1, 1, nullptr, 0, run_ffn, GGML_N_TASKS_MAX, &ffn);
        float                  unused;
        node->data = &unused;
        ggml_build_forward_expand(graph, node);
        std::vector<double> times;
        uint32_t            next = 0;
        for (int i = 0; i <= ffn_runs; i++) {
            for (int32_t & id : batch.ids) {
                id = int32_t(next++ % experts);
            }
            const int64_t begin = ggml_time_us();
            ffn.prepare(batch, from, to, threads);
            ggml_backend_graph_compute(backend.get(), graph);
            if (i > 0) {
                times.push_back(double(ggml_time_us() - begin) / 1e6);
            }
        }
        std::sort(times.begin(), times.end());
        return times[times.size() / 2] * double(tokens) / double(fewer);
    };
    return once(ffn_key(layout, layer, tokens), measure);
}

// Nodes as llama.cpp's build_moe_ffn makes them, measured one by one.
double node_timer::stack_seconds(const expert_layout & layout, uint32_t layer, uint32_t tokens) {
    const std::vector<expert_part> & parts = layout.layers[layer].parts;
    const int64_t          used = layout.used;
    const ggml_context_ptr context(ggml_init({ (32 + size_t(used)) * ggml_tensor_overhead(), nullptr, true }));
    double                 sum = 0;
    const auto             add = [&](ggml_tensor * node, int count = 1) {
        sum += count * seconds(node, 0, 0);
        return node;
    };
    const auto     values  = [&](int64_t rows, int64_t each) { return ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, rows, each, tokens); };
    ggml_tensor *  ids     = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, used, tokens);
    const auto     product = [&](const expert_part & part, int64_t each) {
        ggml_tensor * stack = ggml_new_tensor_3d(context.get(), part.type, part.n_in, part.n_out, layout.experts);
        return add(ggml_mul_mat_id(context.get(), stack, values(part.n_in, each), ids));
    };
    for (size_t p = 0; p + 1 < parts.size(); p++) {
        product(parts[p], 1);
    }
    const expert_part & down = parts.back();
    add(ggml_swiglu_split(context.get(), values(down.n_in, used), values(down.n_in, used)));
    ggml_tensor * outputs = product(down, used);
    add(ggml_mul(context.get(), outputs, values(1, used)));
    add(ggml_add(context.get(), values(down.n_out, 1), values(down.n_out, 1)), int(used) - 1);
    return sum;
}

batch_cost node_timer::device_experts(const expert_layout & layout, uint32_t layer, int beside) {
    const std::string key   = ffn_key(layout, layer, 0) + " beside " + std::to_string(beside);
    const auto        found = known_experts.find(key);
    if (found != known_experts.end()) {
        return found->second;
    }
    constexpr uint32_t tokens = 32;
    const auto         only   = one_layer(layout, layer, layout.experts);
    const uint32_t     used  = std::min(layout.used, layout.experts);
    const uint32_t     count = std::clamp(uint32_t(room() / expert_bytes(only.layers[0])), used, layout.experts);
    device_slots       slots(ggml_backend_get_device(backend.get()), only, { count });
    ggml_backend_buffer_clear(slots.matrix(0, 0)->buffer, 0);  // pages that nobody has written to are all the same one
    device_ffn         ffn(slots, only, tokens);
    return known_experts[key] = measure_device(ffn, slots.id(), only, 0, count, used, tokens, beside);
}

batch_cost measure_expert_reads(const expert_layout & layout) {
    const expert_layer & layer = layout.layers.front();
    file_reader          reader(layout.files, readers);
    uint64_t             room = 0, bytes = 0;
    for (const expert_part & part : layer.parts) {
        room += file_reader::room_for(part.bytes);
        bytes += part.bytes;
    }
    const uint32_t many = uint32_t(std::clamp<uint64_t>((64u << 20) / std::max<uint64_t>(bytes, 1), 4, std::min<uint64_t>(64, std::max(4u, layout.experts))));
    slot_memory    memory(room * many);
    uint32_t       next = 0;
    const auto     read = [&](uint32_t count) {
        std::vector<std::promise<void>> ends(count * layer.parts.size());
        uint8_t *                       into  = memory.data();
        const int64_t                   begin = ggml_time_us();
        for (uint32_t i = 0; i < count; i++, next += 7) {
            for (size_t p = 0; p < layer.parts.size(); p++) {
                const expert_layer & from = layout.layers[next % layout.layers.size()];
                const uint32_t       part  = uint32_t(std::min(p, from.parts.size() - 1));
                const expert_place   place = expert_place_of(from, next % layout.experts, part);
                std::promise<void> & end   = ends[i * layer.parts.size() + p];
                reader.read(place.file, place.offset, { std::min(from.parts[part].bytes, layer.parts[p].bytes) }, into, file_reader::priority::demand,
                            [&end](uint32_t, const char *) { end.set_value(); });
                into += file_reader::room_for(layer.parts[p].bytes);
            }
        }
        for (std::promise<void> & end : ends) {
            end.get_future().wait();
        }
        return double(ggml_time_us() - begin) / 1e6;
    };
    const auto median = [&](uint32_t count, int times) {
        std::vector<double> seconds;
        for (int i = 0; i < times; i++) {
            seconds.push_back(read(count));
        }
        std::sort(seconds.begin(), seconds.end());
        return seconds[seconds.size() / 2];
    };
    median(1, 2);
    const double one = median(1, 9), all = median(many, 3);
    const double each = std::max(1e-9, (all - one) / double(many - 1));
    return { std::max(0.0, one - each), each, 0 };
}

}  // namespace moebius
