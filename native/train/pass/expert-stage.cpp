#include "expert-stage.h"

#include "experts/policy/token-assignment.h"

#include <algorithm>
#include <chrono>

namespace moebius {

namespace {

// Adds rows of a matrix [size / n][n], which is 0 as long as it is empty.
void add_rows(float_rows & all, size_t size, const std::vector<int32_t> & rows, int64_t n, float_rows some) {
    if (all.empty() && are_all(rows, n, size) && some.size() == size) {
        all = std::move(some);
        return;
    }
    all.resize(size, 0.0f);
    for (size_t i = 0; i < rows.size() && !some.empty(); i++) {
        float * const       to   = all.data() + rows[i] * n;
        const float * const from = some.data() + i * size_t(n);
        for (int64_t k = 0; k < n; k++) {
            to[k] += from[k];
        }
    }
}

// [groups] whose they are. slot_of: [experts]
std::vector<int32_t> experts_of(const std::vector<int32_t> & slot_of, const expert_share & share) {
    std::vector<int32_t> experts;
    for (const expert_groups::group & group : share.groups.groups) {
        experts.push_back(int32_t(std::find(slot_of.begin(), slot_of.end(), group.expert) - slot_of.begin()));
    }
    return experts;
}

// All devices at once; the results in their order. One alone needs no thread.
template <typename F> auto on_all(size_t count, const F & work) {
    using result = decltype(work(size_t(0)));
    std::vector<std::future<result>> running;
    for (size_t i = 1; i < count; i++) {
        running.push_back(std::async(std::launch::async, work, i));
    }
    std::vector<result> all;
    all.push_back(work(0));  // if it throws, the futures wait for the others
    for (std::future<result> & each : running) {
        all.push_back(each.get());
    }
    return all;
}

}  // namespace

expert_stage::expert_stage(const gguf_model & file, const base_shape & of, const adapter & trained, const std::vector<copies_room> & rooms, const train_threads & threads)
    : shape(of), speeds(rooms.size(), 1.0), computed(rooms.size(), 0) {
    for (const copies_room & room : rooms) {
        const train_threads its_threads = workers.empty() ? threads : train_threads(threads.count);  // they compute at once
        workers.push_back({ std::make_unique<expert_copies>(file, shape, trained, room), train_runner(room.device, its_threads), room.slots, 0, 0 });
    }
    if (workers.empty()) {
        return;  // no layer has experts
    }
    check_rig(rig(), uint32_t(shape.experts));
    replica_controller_settings settings;
    settings.memory = 0;  // the last step is what counts
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        placements.emplace_back(uint32_t(shape.experts), rig(), settings);
        kept_memory.emplace_back(rooms[0].device);
        place(layer);
    }
    write(trained);
}

layer_rig expert_stage::rig() const {
    layer_rig made;
    made.speeds = speeds;
    for (const worker & each : workers) {
        made.slots.push_back(uint32_t(each.slots));
    }
    return made;
}

void expert_stage::place(int64_t layer) {
    const layer_placement & wanted = placements[size_t(layer)].placement();
    for (size_t device = 0; device < workers.size(); device++) {
        std::vector<bool> here;
        for (const device_set of : wanted) {
            here.push_back(has(of, uint32_t(device)));
        }
        workers[device].copies->place(layer, here);
    }
}

void expert_stage::write(const adapter & of) {
    for (worker & each : workers) {
        each.copies->write(of);
    }
}

std::vector<expert_share> expert_stage::shares_of(int64_t layer, const batch_routes & routes) const {
    std::vector<const std::vector<int32_t> *> slots_of;
    std::vector<int64_t>                      slots;
    for (const worker & each : workers) {
        slots_of.push_back(&each.copies->slot_of(layer));
        slots.push_back(each.slots);
    }
    return share_assignments(routes, placements[size_t(layer)].placement(), speeds, slots_of, slots);
}

expert_sums expert_stage::forward_on(worker & on, int64_t layer, int64_t next, const expert_share & share, const expert_inputs & inputs) const {
    const auto           began = std::chrono::steady_clock::now();
    const placed_experts here  = on.copies->use(layer, next, false);
    if (share.tokens.empty()) {
        return {};
    }
    expert_sums made = expert_tape(*on.copies, here, layer, share, inputs, { true, false, false }).sums(on.runner);
    on.assignments += int64_t(share.assignments.size());
    on.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return made;
}

// Of a stage with one device, the CPU, where all layers stay; null: there is no room, or it is another stage.
std::unique_ptr<expert_tape> expert_stage::kept_tape(int64_t layer, int64_t next, const expert_share & share, const expert_inputs & inputs, activation_budget & budget,
                                                      bool wants_inputs) {
    expert_copies & copies = *workers[0].copies;
    if (!budget.is_open() || workers.size() > 1 || !copies.all_stay() || share.tokens.empty() || ggml_backend_dev_type(copies.device()) != GGML_BACKEND_DEVICE_TYPE_CPU) {
        return nullptr;
    }
    auto tape = std::make_unique<expert_tape>(copies, copies.use(layer, next, true), layer, share, inputs, expert_purpose{ true, true, wants_inputs });
    return budget.take(*tape, kept_memory[size_t(layer)]) ? std::move(tape) : nullptr;
}

expert_outputs expert_stage::forward(int64_t layer, int64_t next, const expert_inputs & inputs, activation_budget * kept, bool wants_inputs) {
    const std::vector<expert_share> shares = shares_of(layer, inputs.routes);
    expert_outputs                  made;
    made.kept = kept ? kept_tape(layer, next, shares[0], inputs, *kept, wants_inputs) : nullptr;
    auto sums = on_all(workers.size(), [&](size_t device) { return made.kept ? made.kept->sums(workers[0].runner) : forward_on(workers[device], layer, next, shares[device], inputs); });
    for (size_t device = 0; device < sums.size(); device++) {
        add_rows(made.sum, inputs.normed.size(), shares[device].tokens, shape.n_embd, std::move(sums[device].of_tokens));
        if (inputs.wants_by_expert) {
            add_rows(made.by_expert, size_t(shape.experts * shape.n_embd), experts_of(workers[device].copies->slot_of(layer), shares[device]), shape.n_embd, std::move(sums[device].by_expert));
        }
        computed[device] += int64_t(shares[device].assignments.size());
    }
    return made;
}

share_gradients expert_stage::backward_on(worker & on, int64_t layer, int64_t next, const expert_share & share, const expert_inputs & inputs, const float_rows & gradient,
                                          bool wants_inputs) const {
    const placed_experts here = on.copies->use(layer, next, true);
    if (share.tokens.empty()) {
        return {};
    }
    float_rows some;
    return expert_tape(*on.copies, here, layer, share, inputs, { false, true, wants_inputs }).gradients(on.runner, rows_of(gradient, share.tokens, shape.n_embd, some));
}

expert_input_gradients expert_stage::backward(int64_t layer, int64_t next, const expert_inputs & inputs, const std::unique_ptr<expert_tape> & kept, const float_rows & gradient,
                                              bool wants_inputs, adapter & of) {
    const expert_groups &           groups = inputs.routes.groups;
    const std::vector<expert_share> shares = shares_of(layer, inputs.routes);
    std::vector<uint32_t>           load(size_t(shape.experts), 0);
    for (const expert_groups::group & group : groups.groups) {
        load[size_t(group.expert)] = uint32_t(group.count);
    }
    placements[size_t(layer)].observe(load, { inputs.routes.ids, uint32_t(groups.per_token) });
    auto made = on_all(workers.size(), [&](size_t device) {
        float_rows some;
        return kept ? kept->gradients(workers[0].runner, rows_of(gradient, shares[0].tokens, shape.n_embd, some)) : backward_on(workers[device], layer, next, shares[device], inputs, gradient, wants_inputs);
    });
    expert_input_gradients found;
    for (size_t device = 0; device < made.size(); device++) {
        if (wants_inputs) {
            add_rows(found.normed, inputs.normed.size(), shares[device].tokens, shape.n_embd, std::move(made[device].normed));
            add_rows(found.weights, inputs.weights.size(), shares[device].assignments, 1, std::move(made[device].weights));
        }
        for (const share_gradients::part & part : made[device].parts) {
            float * const sum = of.parameters[part.parameter].gradient.data() + part.offset;
            for (size_t i = 0; i < part.values.size(); i++) {
                sum[i] += part.values[i];
            }
        }
    }
    return found;
}

// A device that got nothing to do, or that is alone, keeps the speed that it had.
void expert_stage::measure_speeds() {
    for (size_t i = 0; i < workers.size(); i++) {
        worker & each = workers[i];
        if (workers.size() > 1 && each.assignments > 0 && each.seconds > 0) {
            const double now = double(each.assignments) / each.seconds;
            speeds[i]        = is_measured ? 0.5 * (speeds[i] + now) : now;
        }
        each.assignments = 0;
        each.seconds     = 0;
    }
    is_measured = true;
}

void expert_stage::follow_load() {
    if (workers.size() < 2) {
        return;  // there is one place for each
    }
    measure_speeds();
    for (size_t layer = 0; layer < placements.size(); layer++) {
        placements[layer].change(rig());
        placements[layer].decide();
        place(int64_t(layer));
    }
}

expert_copies_report expert_stage::report() {
    expert_copies_report made;
    for (const replica_controller & each : placements) {
        made.copies.emplace_back();
        for (const device_set of : each.placement()) {
            made.copies.back().push_back(copies_of(of));
        }
    }
    copies_traffic all;
    for (const worker & each : workers) {
        all.frozen += each.copies->traffic().frozen;
        all.adapters += each.copies->traffic().adapters;
    }
    made.frozen_bytes  = all.frozen - reported.frozen;
    made.adapter_bytes = all.adapters - reported.adapters;
    reported           = all;
    made.assignments   = computed;
    computed.assign(computed.size(), 0);
    return made;
}

}  // namespace moebius
