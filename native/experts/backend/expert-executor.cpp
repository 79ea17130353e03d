#include "expert-executor.h"

#include "expert-ahead.h"
#include "experts/dispatch/device-dispatch.h"
#include "experts/lossy/lossy-experts.h"
#include "experts/lossy/skip-trial.h"

#include <ggml-cpu.h>

#include <algorithm>
#include <atomic>
#include <chrono>

namespace moebius {

namespace {

struct cpu_functions {
    decltype(ggml_backend_cpu_set_threadpool) * set_threadpool = nullptr;
    decltype(ggml_backend_cpu_set_n_threads) *  set_n_threads  = nullptr;
};

const cpu_functions & cpu_functions_get() {
    static const cpu_functions functions = [] {
        ggml_backend_reg_t cpu = ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
        return cpu_functions{
            reinterpret_cast<decltype(ggml_backend_cpu_set_threadpool) *>(ggml_backend_reg_get_proc_address(cpu, "ggml_backend_cpu_set_threadpool")),
            reinterpret_cast<decltype(ggml_backend_cpu_set_n_threads) *>(ggml_backend_reg_get_proc_address(cpu, "ggml_backend_set_n_threads")),
        };
    }();
    return functions;
}

// What a custom node of a graph on the CPU backend calls. The counts say once more what the backend's barriers do, which ThreadSanitizer does not see: threads begin after the job was
// made, and it ends after them.
struct job {
    void (*run)(void * self);
    void *           self;
    std::atomic<int> made{ 0 }, ended{ 0 };
};

void run_job(ggml_tensor *, int, int, void * user_data) {
    job & what = *static_cast<job *>(user_data);
    what.made.load(std::memory_order_acquire);
    what.run(what.self);
    what.ended.fetch_add(1, std::memory_order_release);
}

template <typename T> T value_at(const ggml_tensor * tensor, int64_t i1, int64_t i2 = 0) {
    return *reinterpret_cast<const T *>(static_cast<const char *>(tensor->data) + i1 * int64_t(tensor->nb[1]) + i2 * int64_t(tensor->nb[2]));
}

char * row_at(const ggml_tensor * tensor, int64_t i1, int64_t i2) {
    return static_cast<char *>(tensor->data) + i1 * int64_t(tensor->nb[1]) + i2 * int64_t(tensor->nb[2]);
}

void copy_ids(const ggml_tensor * ids, std::vector<int32_t> & into) {
    into.resize(size_t(ids->ne[0] * ids->ne[1]));
    for (int64_t t = 0; t < ids->ne[1]; t++) {
        std::memcpy(into.data() + t * ids->ne[0], row_at(ids, t, 0), size_t(ids->ne[0]) * sizeof(int32_t));
    }
}

void fill_rows(row_view rows, int64_t count, int64_t n_embd) {
    for (int64_t t = 0; t < count; t++) {
        std::fill_n(rows.row(t), n_embd, 0.0f);
    }
}

// [experts] that devices have; empty: there are none.
std::vector<bool> copied_experts(const expert_source & source, uint32_t layer) {
    std::vector<bool> copied;
    if (source.devices) {
        for (const device_set on : source.devices->tier.copies(layer)) {
            copied.push_back(on != 0);
        }
    }
    return copied;
}

}  // namespace

expert_executor::expert_executor()
    : cpu(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr)),
      graph_memory(4 * ggml_tensor_overhead() + ggml_graph_overhead_custom(4, false)) {}

ggml_status expert_executor::compute(ggml_cgraph * graph) {
    const std::vector<moe_ffn_nodes> ffns = find_moe_ffns(graph);
    auto                             next = ffns.begin();
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        ggml_tensor * node   = ggml_graph_node(graph, i);
        ggml_status   status = GGML_STATUS_SUCCESS;
        if (!(node->flags & GGML_TENSOR_FLAG_COMPUTE)) {
            continue;
        }
        if (next != ffns.end() && i == next->first) {
            status = compute_ffn(*next);
            i      = next->last;
            ++next;
        } else if (expert_tensor * which = node->op == GGML_OP_MUL_MAT_ID ? expert_tensor_of(node->src[0]) : nullptr) {
            status = which->loaded ? compute_loaded(node, *which) : compute_matmul(node, *which);
        } else if (node->op != GGML_OP_NONE && node->op != GGML_OP_VIEW && node->op != GGML_OP_RESHAPE) {
            status = compute_on_cpu(node);
        }
        if (status != GGML_STATUS_SUCCESS) {
            return status;
        }
    }
    return GGML_STATUS_SUCCESS;
}

ggml_status expert_executor::compute_ffn(const moe_ffn_nodes & nodes) {
    expert_source & source = *nodes.down->source;
    batch.layer            = nodes.down->layer;
    batch.used             = nodes.ids->ne[0];
    batch.tokens           = nodes.ids->ne[1];
    copy_ids(nodes.ids, batch.ids);
    batch.weights.resize(batch.ids.size());
    for (int64_t t = 0; t < batch.tokens; t++) {
        for (int64_t k = 0; k < batch.used; k++) {
            batch.weights[size_t(t * batch.used + k)] = value_at<float>(nodes.weights, k, t);
        }
    }
    const std::lock_guard<std::mutex> lock(source.session);
    if (last_source != &source || !ffn) {
        ffn         = std::make_unique<expert_ffn>(source, cpu_kernels_get());
        last_source = &source;
    }
    const row_view input{ static_cast<char *>(nodes.input->data), nodes.input->nb[2] };
    const row_view output{ static_cast<char *>(nodes.output->data), nodes.output->nb[1] };
    if (source.ahead) {
        source.ahead->start(batch, input);
    }
    skip_trial * trial = skip_trial::current();
    if (trial) {
        trial->apply(batch);
    }
    const expert_batch * low = !trial && source.lossy && source.lossy->active() ? source.lossy->substitute(batch, copied_experts(source, batch.layer)) : nullptr;
    const bool           all = source.devices ? compute_on_devices(source, low, input, output) : compute_on_threads(source, batch, low, input, output);
    return all ? GGML_STATUS_SUCCESS : GGML_STATUS_FAILED;
}

bool expert_executor::compute_on_devices(expert_source & source, const expert_batch * low, row_view input, row_view output) {
    source.devices->start(batch, input);
    const auto   begin   = std::chrono::steady_clock::now();
    const bool   done    = compute_on_threads(source, batch, low, input, output);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return source.devices->finish(output, seconds, [&](const expert_batch & lost, row_view from, row_view to) { return compute_on_threads(source, lost, nullptr, from, to); }) && done;
}

// Reads of full experts begin first, and go on while those in fewer bits are computed. Nobody writes to `output` before all have read `input`.
bool expert_executor::compute_on_threads(expert_source & source, const expert_batch & work, const expert_batch * low, row_view input, row_view output) {
    const int64_t n_embd = source.layout().layers[work.layer].parts.back().n_out;
    const bool    any    = std::any_of(work.ids.begin(), work.ids.end(), [](int32_t id) { return id >= 0; });
    if (!any && !low) {
        fill_rows(output, work.tokens, n_embd);
        if (source.ahead) {
            source.ahead->run();
        }
        return true;
    }
    struct {
        expert_ahead * ahead;
        expert_ffn *   low;
        expert_ffn *   full;
    } each{ source.ahead, low ? &source.lossy->copies()->ffn : nullptr, any ? ffn.get() : nullptr };
    if (each.full) {
        each.full->prepare(work, input, output, threads);
    }
    std::unique_lock<std::mutex> low_session;
    if (low) {
        low_session = std::unique_lock<std::mutex>(source.lossy->copies()->store.session);
        low_rows.resize(size_t(low->tokens * n_embd));
        each.low->prepare(*low, input, { reinterpret_cast<char *>(low_rows.data()), size_t(n_embd) * sizeof(float) }, threads);
    }
    const auto run = [](void * self) {
        const auto & all = *static_cast<decltype(each) *>(self);
        if (all.ahead) {
            all.ahead->run();
        }
        if (all.low) {
            all.low->run();
        }
        if (all.full) {
            all.full->run();
        }
    };
    const bool done = on_all_threads(source, work.tokens, run, &each) == GGML_STATUS_SUCCESS;
    if (!any) {
        fill_rows(output, work.tokens, n_embd);
    }
    return (!each.full || each.full->finish()) && (!low || add_low(source, low_session, *low, output)) && done;
}

bool expert_executor::add_low(expert_source & source, std::unique_lock<std::mutex> & session, const expert_batch & low, row_view output) {
    low_precision_copies & copies = *source.lossy->copies();
    const bool             read   = copies.ffn.finish();
    const std::string      why    = copies.store.error();
    session.unlock();
    if (!read) {
        source.lossy->give_up_copies(why);
        return false;
    }
    const int64_t n_embd = source.layout().layers[low.layer].parts.back().n_out;
    for (int64_t t = 0; t < low.tokens; t++) {
        for (int64_t i = 0; i < n_embd; i++) {
            output.row(t)[i] += low_rows[size_t(t * n_embd + i)];
        }
    }
    return true;
}

ggml_status expert_executor::compute_matmul(ggml_tensor * node, const expert_tensor & which) {
    const ggml_tensor * input = node->src[1];
    const ggml_tensor * ids   = node->src[2];
    const bool          each  = input->ne[1] > 1;
    std::vector<int32_t>       chosen;
    std::vector<const float *> from;
    std::vector<float *>       to;
    copy_ids(ids, chosen);
    for (int64_t t = 0; t < ids->ne[1]; t++) {
        for (int64_t k = 0; k < ids->ne[0]; k++) {
            to.push_back(reinterpret_cast<float *>(row_at(node, k, t)));
            if (each || k == 0) {
                from.push_back(reinterpret_cast<const float *>(row_at(input, each ? k : 0, t)));
            }
        }
    }
    const std::lock_guard<std::mutex> lock(which.source->session);
    expert_matmul matmul(*which.source, cpu_kernels_get());
    matmul.prepare(which.layer, which.part, std::move(chosen), ids->ne[0], std::move(from), each, std::move(to));
    const ggml_status status = on_all_threads(*which.source, ids->ne[1], [](void * self) { static_cast<expert_matmul *>(self)->run(); }, &matmul);
    return matmul.finish() ? status : GGML_STATUS_FAILED;
}

// In a graph that find_moe_ffns does not know: from the next one on llama.cpp computes with this matrix itself.
ggml_status expert_executor::compute_loaded(ggml_tensor * node, expert_tensor & which) {
    which.tokens_most = 0;
    use_pool(*which.source, node->ne[2]);
    return compute_on_cpu(node);
}

// A node that belongs to no whole FFN, on the results of others.
ggml_status expert_executor::compute_on_cpu(ggml_tensor * node) {
    const ggml_context_ptr context(ggml_init({ graph_memory.size(), graph_memory.data(), true }));
    ggml_cgraph *          graph = ggml_new_graph_custom(context.get(), 4, false);
    ggml_graph_add_node(graph, node);
    return ggml_backend_graph_compute(cpu.get(), graph);
}

void expert_executor::use_pool(const expert_source & source, int64_t tokens) {
    const cpu_functions &   functions = cpu_functions_get();
    const ggml_threadpool_t next      = tokens > 1 ? source.pools.batch : source.pools.decode;
    if (functions.set_n_threads) {
        functions.set_n_threads(cpu.get(), threads);
    }
    if (next != pool && functions.set_threadpool) {
        functions.set_threadpool(cpu.get(), next);
        pool = next;
    }
}

ggml_status expert_executor::on_all_threads(expert_source & source, int64_t tokens, void (*run)(void *), void * self) {
    use_pool(source, tokens);
    job                    what{ run, self, {}, {} };
    const ggml_context_ptr context(ggml_init({ graph_memory.size(), graph_memory.data(), true }));
    ggml_cgraph *          graph = ggml_new_graph_custom(context.get(), 4, false);
    ggml_tensor *          node  = ggml_custom_4d(context.get(), GGML_TYPE_F32, 1, 1, 1, 1, nullptr, 0, run_job, GGML_N_TASKS_MAX, &what);
    float                  unused;
    node->data = &unused;
    ggml_build_forward_expand(graph, node);
    what.made.store(1, std::memory_order_release);
    const ggml_status status = ggml_backend_graph_compute(cpu.get(), graph);
    what.ended.load(std::memory_order_acquire);
    return status;
}

}  // namespace moebius
