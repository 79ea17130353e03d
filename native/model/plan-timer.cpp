#include "plan-timer.h"

#include "devices.h"
#include "plan-node-copy.h"

#include <algorithm>
#include <chrono>

namespace moebius {

namespace {

constexpr int    timer_runs_most        = 7;
constexpr double timer_seconds_most     = 0.08;  // for repeating a measurement
constexpr double timer_first_most       = 1;     // seconds of a first run on a device, which may compile, that are not repeated
constexpr int    timer_waits            = 21;
constexpr int    piece_nodes            = 32;  // about as many as a layer has besides its experts
constexpr int    timer_reads            = 16;
constexpr int    trivial_nodes    = 64;
constexpr double timer_bytes   = 192e6;  // of weights, more than caches hold
constexpr int64_t matmul_in       = 2048;
constexpr int64_t matmul_out      = 1024;
constexpr int64_t matmul_columns  = 256;
constexpr size_t  link_bytes      = 64u << 20;

double time_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

node_timer::node_timer(ggml_backend_dev_t device, int32_t count) : backend(ggml_backend_dev_init(device, nullptr)), threads(std::max(1, count)) {
    if (!backend) {
        throw user_error("device.not-found", std::string(ggml_backend_dev_name(device)) + " does not start.", { { "device", ggml_backend_dev_name(device) } });
    }
    on_cpu = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
    if (!on_cpu) {
        return;
    }
    pool = threadpool_start(threads);
    threadpool_attach(backend.get(), pool, threads);
}

node_timer::~node_timer() {
    backend.reset();
}

double node_timer::once(const std::string & key, const std::function<double()> & measure) {
    const auto found = known.find(key);
    if (found != known.end()) {
        return found->second;
    }
    const double value = measure();
    known[key]         = value;
    return value;
}

void node_timer::wait_for(ggml_cgraph * graph) {
    if (!on_cpu) {
        char some;
        ggml_backend_tensor_get(ggml_graph_node(graph, -1), &some, 0, sizeof(some));
    }
}

void node_timer::run_once(ggml_cgraph * graph) {
    ggml_backend_graph_compute(backend.get(), graph);
    wait_for(graph);
}

// The median of several runs. A device of another machine has computed when its result is there: nothing else waits for it. Nor is it certain before
// that the memory is there and cleared.
double node_timer::run(ggml_cgraph * graph) {
    std::vector<double> times;
    wait_for(graph);
    const double first = time_now();
    run_once(graph);
    const double begin = time_now();
    if (begin - first > (on_cpu ? timer_seconds_most : timer_first_most)) {
        return begin - first;  // what is new about a first run is little of it
    }
    while (times.size() < 3 || (times.size() < timer_runs_most && time_now() - begin < timer_seconds_most)) {
        const double start = time_now();
        run_once(graph);
        times.push_back(time_now() - start);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// Nodes that do next to nothing.
struct node_timer::trivial_graph {
    ggml_context_ptr        context;
    ggml_cgraph *           graph;
    ggml_backend_buffer_ptr buffer;

    trivial_graph(ggml_backend_t backend, int nodes)
        : context(ggml_init({ size_t(nodes + 1) * ggml_tensor_overhead() + ggml_graph_overhead_custom(size_t(nodes), false), nullptr, true })),
          graph(ggml_new_graph_custom(context.get(), size_t(nodes), false)) {
        ggml_tensor * value = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 32);
        for (int i = 0; i < nodes; i++) {
            ggml_tensor * node = ggml_scale(context.get(), value, 0.5f);
            node->flags |= GGML_TENSOR_FLAG_COMPUTE;
            ggml_graph_add_node(graph, node);
        }
        buffer = measuring_buffer(context.get(), ggml_backend_get_default_buffer_type(backend));
    }
};

double node_timer::measure_trivial(int nodes) {
    return run(trivial_graph(backend.get(), nodes).graph);
}

// A device of another machine, and a GPU that records graphs, know one that they have just seen.
double node_timer::piece_seconds() {
    return on_cpu ? graph_seconds() : once("piece", [&] {
        const trivial_graph one(backend.get(), piece_nodes), other(backend.get(), piece_nodes);
        std::vector<double> times;
        for (int i = 0; i < timer_waits; i++) {
            const double start = time_now();
            run_once(i % 2 == 0 ? one.graph : other.graph);
            times.push_back(time_now() - start);
        }
        std::sort(times.begin(), times.end());
        return std::max(0.0, times[times.size() / 2] - piece_nodes * node_seconds());
    });
}

double node_timer::node_seconds() {
    return once("node", [&] { return std::max(0.0, measure_trivial(trivial_nodes + 1) - measure_trivial(1)) / trivial_nodes; });
}

double node_timer::graph_seconds() {
    return once("graph", [&] { return std::max(0.0, measure_trivial(1) - node_seconds()); });
}

// Median of the time until `count` reads of a few bytes, asked for at once, are there.
double node_timer::measure_reads(int count) {
    const ggml_context_ptr        context(ggml_init({ ggml_tensor_overhead(), nullptr, true }));
    ggml_tensor *                 tensor = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, 1);
    const ggml_backend_buffer_ptr buffer = measuring_buffer(context.get(), ggml_backend_get_default_buffer_type(backend.get()));
    std::vector<int32_t>          values(static_cast<size_t>(count));
    std::vector<double>           times;
    for (int i = 0; i < timer_waits; i++) {
        const double start = time_now();
        for (int32_t & value : values) {
            ggml_backend_tensor_get_async(backend.get(), tensor, &value, 0, sizeof(value));
        }
        ggml_backend_synchronize(backend.get());
        times.push_back(time_now() - start);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

double node_timer::wait_seconds() {
    return on_cpu ? 0.0 : once("wait", [&] { return measure_reads(1); });
}

double node_timer::read_seconds() {
    return on_cpu ? 0.0 : once("read", [&] { return std::max(0.0, measure_reads(1 + timer_reads) - wait_seconds()) / timer_reads; });
}

// Bytes that measuring may take.
double node_timer::room() const {
    if (on_cpu) {
        return timer_bytes;
    }
    const device_memory memory = device_memory_now(ggml_backend_get_device(backend.get()));
    return memory.total == 0 ? timer_bytes : std::min(timer_bytes, double(memory.free) / 2);
}

double node_timer::seconds(const ggml_tensor * node, double working_set, uint32_t context) {
    const ggml_backend_buffer_type_t type = on_cpu ? nullptr : ggml_backend_get_default_buffer_type(backend.get());
    return once(node_copy(node, type, working_set, context, timer_bytes).key(), [&] {
        const node_copy  copy(node, type, working_set, context, room());
        const node_graph graph = copy.build(backend.get());
        return std::max(0.0, run(graph.graph) - graph_seconds()) / graph.count * copy.scale();
    });
}

// Seconds for each of `copies` products of different matrices with `columns` columns.
double node_timer::measure_matmul(ggml_type type, int64_t columns, int64_t copies) {
    const ggml_context_ptr context(ggml_init({ size_t(2 * copies + 2) * ggml_tensor_overhead() + ggml_graph_overhead_custom(size_t(copies), false), nullptr, true }));
    ggml_tensor *          input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, matmul_in, columns);
    ggml_cgraph *          graph = ggml_new_graph_custom(context.get(), size_t(copies), false);
    for (int64_t i = 0; i < copies; i++) {
        ggml_tensor * node = ggml_mul_mat(context.get(), ggml_new_tensor_2d(context.get(), type, matmul_in, matmul_out), input);
        node->flags |= GGML_TENSOR_FLAG_COMPUTE;
        ggml_graph_add_node(graph, node);
    }
    const ggml_backend_buffer_ptr buffer = measuring_buffer(context.get(), ggml_backend_get_default_buffer_type(backend.get()));
    return std::max(1e-9, run(graph) - graph_seconds()) / double(copies);
}

double node_timer::bandwidth(ggml_type type) {
    return once(std::string("bandwidth ") + ggml_type_name(type), [&] {
        const double  bytes  = double(ggml_row_size(type, matmul_in)) * double(matmul_out);
        return bytes / measure_matmul(type, 1, int64_t(std::max(1.0, room() / bytes)));
    });
}

double node_timer::flops(ggml_type type) {
    return once(std::string("flops ") + ggml_type_name(type),
                [&] { return 2.0 * double(matmul_in * matmul_out * matmul_columns) / measure_matmul(type, matmul_columns, 1); });
}

double node_timer::link_bandwidth() {
    return on_cpu ? 0.0 : once("link", [&] {
        const ggml_context_ptr        context(ggml_init({ ggml_tensor_overhead(), nullptr, true }));
        const size_t                  bytes  = std::min(link_bytes, size_t(room()));
        ggml_tensor *                 tensor = ggml_new_tensor_1d(context.get(), GGML_TYPE_I8, int64_t(std::max<size_t>(bytes, 1)));
        const ggml_backend_buffer_ptr buffer = measuring_buffer(context.get(), ggml_backend_get_default_buffer_type(backend.get()));
        const std::vector<uint8_t>    data(ggml_nbytes(tensor), 1);
        ggml_backend_tensor_set(tensor, data.data(), 0, data.size());
        const double start = time_now();
        ggml_backend_tensor_set(tensor, data.data(), 0, data.size());
        return double(data.size()) / std::max(1e-9, time_now() - start);
    });
}

}  // namespace moebius
