#include "device-fetch.h"

#include "rpc/log.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace moebius {

namespace {

bool same_kind(const expert_layer & a, const expert_layer & b) {
    return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(), [](const expert_part & x, const expert_part & y) {
        return x.matrix == y.matrix && x.type == y.type && x.n_in == y.n_in && x.n_out == y.n_out;
    });
}

expert_layout kinds_of(const expert_layout & all) {
    expert_layout kinds = all;
    kinds.layers.clear();
    for (const expert_layer & layer : all.layers) {
        if (std::none_of(kinds.layers.begin(), kinds.layers.end(), [&](const expert_layer & kind) { return same_kind(kind, layer); })) {
            kinds.layers.push_back(layer);
        }
    }
    return kinds;
}

std::vector<uint32_t> index_kinds(const expert_layout & all, const expert_layout & kinds) {
    std::vector<uint32_t> index;
    for (const expert_layer & layer : all.layers) {
        const auto kind = std::find_if(kinds.layers.begin(), kinds.layers.end(), [&](const expert_layer & each) { return same_kind(each, layer); });
        index.push_back(uint32_t(kind - kinds.layers.begin()));
    }
    return index;
}

}  // namespace

uint64_t device_fetch::device_bytes(ggml_backend_dev_t device, const expert_layout & layout, uint32_t tokens) {
    const expert_layout kinds = kinds_of(layout);
    return device_slots_bytes(kinds, std::vector<uint32_t>(kinds.layers.size(), guests_at_a_time)) + device_ffn::scratch_bytes(device, kinds, tokens);
}

device_fetch::device_fetch(device_slots & beside, expert_storage & from, uint32_t tokens)
    : batch(beside.device()),
      source(from),
      guest_layout(kinds_of(from.layout())),
      guests(beside.device(), guest_layout, std::vector<uint32_t>(guest_layout.layers.size(), guests_at_a_time), &beside),
      ffn(guests, guest_layout, tokens),
      staging(beside.device()) {
    kinds  = index_kinds(source.layout(), guest_layout);
    worker = std::thread([this] { run(); });
}

device_fetch::~device_fetch() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        state = closing;
    }
    changed.notify_all();
    worker.join();
}

void device_fetch::start(uint32_t of, row_view input, std::vector<device_assignment> work) {
    layer = of;
    batch.gather(input, size_t(source.layout().layers[layer].parts[0].n_in), std::move(work));
    batch.clear_output();
    {
        const std::lock_guard<std::mutex> lock(mutex);
        state = due;
    }
    changed.notify_all();
}

bool device_fetch::wait() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return state == done || state == failed; });
    return state == done;
}

void device_fetch::run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
        changed.wait(lock, [&] { return state == due || state == closing; });
        if (state == closing) {
            return;
        }
        lock.unlock();
        const auto began = std::chrono::steady_clock::now();
        const bool all   = compute();
        took             = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        lock.lock();
        if (state == closing) {
            return;
        }
        state = all ? done : failed;
        changed.notify_all();
    }
}

bool device_fetch::compute() {
    std::map<int32_t, std::vector<device_assignment>> experts;
    for (size_t t = 0; t < batch.tokens(); t++) {
        for (size_t i = batch.begin_of(t); i < batch.begin_of(t + 1); i++) {
            device_assignment one = batch.work()[i];
            one.token             = uint32_t(t);  // row of `batch`
            experts[one.expert].push_back(one);
        }
    }
    uint32_t slot    = 0;
    bool     running = false;
    try {
        for (auto & [expert, work] : experts) {
            upload(expert, slot);
            if (running && !ffn.wait()) {
                return false;
            }
            if (running) {
                ffn.batch.add_to(batch.output());
            }
            for (device_assignment & one : work) {
                one.slot = slot;
            }
            running = ffn.start(kinds[layer], batch.input(), std::move(work));
            if (!running) {
                return false;
            }
            slot = (slot + 1) % guests_at_a_time;
        }
    } catch (const user_error & error) {  // file.unreadable
        log_write(log_level::error, std::string("An expert could not be fetched: ") + error.what());
        if (running) {
            ffn.wait();
        }
        return false;
    }
    if (!ffn.wait()) {
        return false;
    }
    ffn.batch.add_to(batch.output());
    return true;
}

void device_fetch::upload(int32_t expert, uint32_t slot) {
    const std::vector<expert_part> & parts = source.layout().layers[layer].parts;
    for (uint32_t p = 0; p < parts.size(); p++) {
        staging.resize(parts[p].bytes);
        source.read_part(layer, uint32_t(expert), p, staging.data());
        guests.write(kinds[layer], slot, p, staging.data());
    }
}

}  // namespace moebius
