#include "device-cost.h"

#include "rpc/errors.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

namespace moebius {

namespace {

[[noreturn]] void throw_failed(const std::string & device) {
    throw user_error("model.load-failed", device + " failed to compute with experts; the log has the reason. Load the model without experts there (expertDevices).", { { "device", device } });
}

// The slots that a measurement goes round, so that it finds no expert's weights in a cache.
class slots_in_turn {
  public:
    explicit slots_in_turn(uint32_t slots) : slots(slots) {}

    // Every token with each of the next `experts` slots, but the last one without `missing` of them.
    std::vector<device_assignment> even_work(uint32_t experts, uint32_t tokens, uint32_t missing = 0) {
        std::vector<device_assignment> work;
        for (uint32_t t = 0; t < tokens; t++) {
            for (uint32_t e = 0; e < experts; e++) {
                work.push_back({ t, (next + e) % slots, 0, 1.0f });
            }
        }
        work.resize(work.size() - missing);
        next = (next + experts) % slots;
        return work;
    }

  private:
    uint32_t slots, next = 0;
};

// What the CPU does with its own layers and experts, as far as devices feel it: weights pass through its caches.
class passing_weights {
  public:
    // Reads on from where the last call ended. Gives something of what it read.
    uint64_t read() {
        constexpr size_t piece = (64 << 10) / sizeof(uint64_t);
        const auto       begin = memory.begin() + ptrdiff_t(at);
        at                     = (at + piece) % memory.size();
        return std::accumulate(begin, begin + ptrdiff_t(piece), uint64_t(0));
    }

    // About as long as the CPU computes between two layers; meanwhile a device goes to sleep.
    void pause() {
        constexpr auto length = std::chrono::microseconds(500);
        for (const auto begin = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - begin < length;) {
            total += read();
        }
    }

  private:
    std::vector<uint64_t> memory = std::vector<uint64_t>((64 << 20) / sizeof(uint64_t), 1);
    size_t                at     = 0;
    std::atomic<uint64_t> total{ 0 };  // so that somebody wants what is read
};

// Threads that do so all the time.
class busy_threads {
  public:
    explicit busy_threads(int count) {
        for (int i = 0; i < count; i++) {
            threads.emplace_back([this] {
                passing_weights weights;
                while (!stopping) {
                    weights.pause();
                }
            });
        }
    }
    ~busy_threads() {
        stopping = true;
        for (std::thread & thread : threads) {
            thread.join();
        }
    }

  private:
    std::atomic<bool>        stopping{ false };
    std::vector<std::thread> threads;
};

// Rows for so many tokens.
class made_input {
  public:
    made_input(const expert_layout & layout, uint32_t layer, uint32_t tokens) : columns(size_t(layout.layers[layer].parts[0].n_in)), values(columns * tokens, 0.1f) {}
    row_view rows() { return { reinterpret_cast<char *>(values.data()), columns * sizeof(float) }; }

  private:
    size_t             columns;
    std::vector<float> values;
};

// A device of one layer's slots that is measured.
struct measured_device {
    device_ffn &          ffn;
    const std::string &   id;
    const expert_layout & layout;
    uint32_t              layer;
    slots_in_turn         slots;
    passing_weights       weights = {};

    double seconds(row_view input, const std::vector<device_assignment> & work) {
        const auto begin = std::chrono::steady_clock::now();
        if (!ffn.start(layer, input, work) || !ffn.wait()) {
            throw_failed(id);
        }
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

    // Of a batch in which each of some experts has the same number of tokens.
    double median_seconds(uint32_t experts, uint32_t tokens) {
        constexpr int       runs = 7;
        made_input          input(layout, layer, tokens);
        std::vector<double> times;
        seconds(input.rows(), slots.even_work(experts, tokens));  // may compile shaders
        for (int i = 0; i < runs; i++) {
            const std::vector<device_assignment> work = slots.even_work(experts, tokens);
            weights.pause();
            times.push_back(seconds(input.rows(), work));
        }
        std::sort(times.begin(), times.end());
        return times[times.size() / 2];
    }

    void warm_up(uint32_t experts, uint32_t tokens) {
        made_input input(layout, layer, tokens);
        for (const uint32_t missing : { 0, 1 }) {  // graphs of two kinds
            if (experts * tokens > missing) {
                seconds(input.rows(), slots.even_work(experts, tokens, missing));
            }
        }
    }
};

}  // namespace

batch_cost measure_device(device_ffn & ffn, const std::string & id, const expert_layout & layout, uint32_t layer, uint32_t slots, uint32_t experts, uint32_t most, int beside) {
    const uint32_t  tokens = std::clamp(most, 2u, 32u);
    measured_device device{ ffn, id, layout, layer, slots_in_turn(slots) };
    device.warm_up(experts, most);
    const busy_threads busy(beside);
    const double one     = device.median_seconds(1, 1);
    const double several = device.median_seconds(experts, 1);
    const double many    = device.median_seconds(experts, tokens);
    batch_cost cost;
    cost.per_token  = std::max((many - several) / (experts * (tokens - 1)), 1e-9);
    cost.per_expert = experts > 1 ? std::max((several - one) / (experts - 1) - cost.per_token, 0.0) : 0;
    cost.fixed      = std::max(one - cost.per_expert - cost.per_token, 0.0);
    return cost;
}

double measure_link(device_slots & slots, size_t columns) {
    constexpr int           runs = 9;
    const ggml_context_ptr  context(ggml_init({ ggml_tensor_overhead(), nullptr, true }));
    ggml_tensor * const     row = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, int64_t(columns));
    const device_slots::use driver(slots);
    const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), ggml_backend_dev_buffer_type(slots.device())));
    if (!buffer) {
        throw_failed(slots.id());
    }
    std::vector<float>  values(columns, 0.1f);
    std::vector<double> times;
    for (int i = 0; i < runs; i++) {
        const auto begin = std::chrono::steady_clock::now();
        ggml_backend_tensor_set(row, values.data(), 0, columns * sizeof(float));
        ggml_backend_tensor_get(row, values.data(), 0, columns * sizeof(float));
        times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
    return std::max(times[runs / 2], 1e-9);
}

batch_cost measure_fetches(device_fetch & fetcher, const std::string & id, const expert_layout & layout, uint32_t expert, uint32_t most) {
    const uint32_t tokens = std::clamp(most, 2u, 32u);
    const auto     time   = [&](uint32_t count) {
        made_input                     input(layout, 0, count);
        std::vector<device_assignment> work = slots_in_turn(1).even_work(1, count);
        for (device_assignment & one : work) {
            one.expert = int32_t(expert);
        }
        fetcher.start(0, input.rows(), std::move(work));
        if (!fetcher.wait()) {
            throw_failed(id);
        }
        return fetcher.seconds();
    };
    time(most);  // as warm_up
    const double one = std::min(time(1), time(1)), many = std::min(time(tokens), time(tokens));
    return { 0, one, std::max((many - one) / (tokens - 1), 1e-9) };
}

}  // namespace moebius
