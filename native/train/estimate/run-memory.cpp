#include "run-memory.h"

#include "model/devices.h"
#include "model/host.h"
#include "sample-pass.h"
#include "train/descent/optimiser.h"
#include "train/graph/counting-device.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <numeric>

namespace moebius {

namespace {

// Counting devices in place of those of a run.
class counting_rig {
  public:
    explicit counting_rig(const pass_devices & where, const std::function<void()> & on_work = [] {}) {
        for (ggml_backend_dev_t device : devices_of(where)) {
            counters.emplace_back(device, on_work);
        }
    }

    // The CPU first.
    static std::vector<ggml_backend_dev_t> devices_of(const pass_devices & where) {
        std::vector<ggml_backend_dev_t> devices = { where.main };
        for (const copies_room & room : where.experts) {
            if (std::find(devices.begin(), devices.end(), room.device) == devices.end()) {
                devices.push_back(room.device);
            }
        }
        return devices;
    }

    counting_device & in_place_of(ggml_backend_dev_t device) {
        return *std::find_if(counters.begin(), counters.end(), [device](const counting_device & each) { return each.stands_for() == device; });
    }

    std::vector<uint64_t> bytes() const { return each([](const counting_device & counter) { return counter.bytes(); }); }
    std::vector<uint64_t> most() const { return each([](const counting_device & counter) { return counter.most(); }); }

  private:
    template <typename Get> std::vector<uint64_t> each(Get && get) const {
        std::vector<uint64_t> all;
        std::transform(counters.begin(), counters.end(), std::back_inserter(all), get);
        return all;
    }

    std::deque<counting_device> counters;
};

// Where experts are if nothing is said of it.
std::vector<copies_room> rooms_of(const run_outline & run) {
    if (!run.where.experts.empty() || run.shape.experts == 0) {
        return run.where.experts;
    }
    return { { run.where.main, run.shape.experts, UINT64_MAX } };
}

uint64_t copies_bytes(const base_shape & shape, const gguf_model & hollow, copies_room room, const adapter & of) {
    counting_device counter(room.device);
    room.device = counter.device();
    const expert_copies copies(hollow, shape, of, room);
    return counter.bytes();
}

run_memory_split & memory_on(run_memory & all, ggml_backend_dev_t device) {
    return std::find_if(all.devices.begin(), all.devices.end(), [device](const run_device & each) { return each.id == ggml_backend_dev_name(device); })->memory;
}

void add_experts(run_memory & all, const run_outline & run, const gguf_model & hollow) {
    const adapter nothing;
    for (const copies_room & room : rooms_of(run)) {
        run_memory_split & here = memory_on(all, room.device);
        const uint64_t     held = copies_bytes(run.shape, hollow, room, nothing);
        here.experts += held;
        here.adapter += copies_bytes(run.shape, hollow, room, run.trained) - held;
        all.on_disk += copies_bytes(run.shape, hollow, { room.device, room.slots, UINT64_MAX }, nothing) - held;
    }
}

void add_base(run_memory & all, const run_outline & run, const gguf_model & hollow) {
    run_memory_split & here = memory_on(all, run.where.main);
    counting_device    counter(run.where.main);
    {
        const base_weights weights(hollow, run.shape, counter.device());
        here.weights = counter.bytes();
    }
    const adapter_tensors copies(run.trained, counter.device());
    here.adapter += counter.bytes();
}

// Averages that stand for experts are followed and saved like what is trained (stand_ins).
void add_stand_ins(run_memory_split & here, const run_outline & run) {
    if (run.how.routers.gradient == router_gradient::default_moe) {
        const uint64_t experts = uint64_t(run.shape.layers) * uint64_t(run.shape.experts), numbers = experts * uint64_t(run.shape.n_embd);
        here.adapter += numbers * sizeof(float);
        here.gradients += numbers * sizeof(double) + experts * sizeof(int64_t);  // of a step
        here.guardian += numbers * sizeof(float);
        here.saving += numbers * sizeof(float);
    }
}

// What the host has of what is trained, and of the data.
void add_descent(run_memory & all, const run_outline & run, const packed_batch & batch) {
    run_memory_split & here    = memory_on(all, run.where.main);
    const uint64_t     numbers = all.parameters * sizeof(float);
    here.adapter += numbers;
    here.gradients = numbers;
    here.optimiser = moment_bytes(run.how.optimiser, run.trained.parameters);
    here.guardian  = numbers + here.optimiser;
    here.saving    = numbers + here.optimiser;  // the numbers before the first update, which are kept to see what moved, are less
    add_stand_ins(here, run);
    here.data      = uint64_t(run.how.batches_per_step) * (batch.batch.tokens.size() * 2 * sizeof(int32_t) + batch.batch.rows.size() * 3 * sizeof(int32_t));
}

// What the host keeps of a layer until the way back: its input, the experts of its tokens, and of drawn ones how their probability depends on the router (expert_draws).
uint64_t kept_bytes(const run_outline & run, const token_batch & batch) {
    const lora_mixture &    mixture = run.trained.mixture;
    const router_settings & routers = run.how.routers;
    const int64_t           experts = mixture.experts > 0 ? mixture.experts : run.shape.experts;
    const int64_t           usual   = mixture.experts > 0 ? mixture.experts_used : run.shape.experts_used;
    const int64_t           used    = routers.used.most > 0 ? routers.used.most : usual;
    const uint64_t          drawn   = routers.gradient == router_gradient::sparse_mixer ? uint64_t(experts) * sizeof(float) + sizeof(draw_kind) : 0;
    return batch.tokens.size() * (uint64_t(run.shape.n_embd) * sizeof(float) + uint64_t(used) * sizeof(int32_t) + drawn);
}

struct pass_bytes {
    std::vector<uint64_t> devices;  // as counting_rig's
    uint64_t              host = 0;  // without the inputs of layers
    uint64_t              kept = 0;  // of the devices' bytes, activations of the layers
    int64_t               layers = 0;
};

// activation_bytes: that may be kept.
pass_bytes measured_pass(const run_outline & run, const planned_batches & batches, const run_memory & known, uint64_t activation_bytes) {
    model_sample          sample = sample_for(run, known);
    sample.file                  = without_contents(std::move(sample.file));
    std::atomic<uint64_t> most{ 0 };
    counting_rig          rig(run.where, [&] { most = std::max<uint64_t>(most, host_process_bytes()); });
    pass_devices          where = run.where;
    where.main                  = rig.in_place_of(run.where.main).device();
    where.activation_bytes      = activation_bytes;
    where.experts.clear();
    for (const copies_room & room : sample_rooms(run, sample, known)) {
        where.experts.push_back({ rig.in_place_of(room.device).device(), room.slots, room.bytes });
    }
    train_pass                  pass(sample.file, sample.shape, sample.trained, where);
    const sample_routing        routing(pass, run.how, run.how.routers.used.most);
    const std::vector<uint64_t> before = rig.bytes();
    pass_bytes                  made;
    for (const packed_batch & batch : batches.largest) {
        host_trim_memory();
        const uint64_t at_rest = host_process_bytes(), kept = uint64_t(sample.shape.layers) * kept_bytes(run, batch.batch);
        most                   = at_rest;
        made.kept = std::max(made.kept, learn_from(pass, batch.batch, run.how, routing, sample.trained).kept_bytes);
        made.host = std::max(made.host, most - std::min<uint64_t>(most, at_rest + kept));
    }
    made.layers  = sample.shape.layers;
    made.devices = rig.most();
    std::transform(made.devices.begin(), made.devices.end(), before.begin(), made.devices.begin(), std::minus<uint64_t>());
    return made;
}

// Activations of all layers are kept, or of as many as there is room for, and the others are computed again. Unless told, the room is half of what the rest leaves (train_pass).
void add_pass(run_memory & all, const run_outline & run, const planned_batches & batches) {
    run_memory_split & here  = memory_on(all, run.where.main);
    const uint64_t     free  = all.devices.front().free;
    const uint64_t     room  = run.where.activation_bytes.value_or((free - std::min(free, here.sum())) / 2);
    const pass_bytes   whole = measured_pass(run, batches, all, UINT64_MAX);
    const uint64_t     layer = whole.kept / uint64_t(whole.layers);
    all.kept_layers          = layer > 0 ? int64_t(std::min<uint64_t>(uint64_t(run.shape.layers), room / layer)) : 0;
    const bool       is_all  = all.kept_layers == run.shape.layers;
    const pass_bytes base    = is_all ? whole : measured_pass(run, batches, all, 0);
    const std::vector<ggml_backend_dev_t> devices = counting_rig::devices_of(run.where);
    for (size_t i = 0; i < devices.size(); i++) {
        memory_on(all, devices[i]).compute += base.devices[i];
    }
    here.compute += base.host + uint64_t(all.kept_layers) * layer - base.kept;
    here.saving -= std::min(here.saving, here.layer_inputs + base.host);
}

}  // namespace

uint64_t run_memory::need() const {
    return std::accumulate(devices.begin(), devices.end(), uint64_t(0), [](uint64_t sum, const run_device & each) { return sum + each.memory.sum(); });
}

uint64_t run_memory::have() const {
    return std::accumulate(devices.begin(), devices.end(), uint64_t(0), [](uint64_t sum, const run_device & each) { return sum + each.free; });
}

const run_device * run_memory::short_device() const {
    const auto found = std::find_if(devices.begin(), devices.end(), [](const run_device & each) { return each.total > 0 && each.memory.sum() > each.free; });
    return found == devices.end() ? nullptr : &*found;
}

run_outline outline_of(const run_settings & how) {
    run_outline made{ how, gguf_open(how.model), {}, {}, {} };
    made.shape   = base_shape_of(made.file);
    made.trained = outlined_adapter(made.file, how.adapter);
    made.where   = pass_devices_of(how.devices, how.threads, made.shape.experts);
    return made;
}

model_sample sample_for(const run_outline & run, const run_memory & known) {
    return sample_of(run.file, run.shape, run.trained, known.on_disk > 0 ? 3 : 2);
}

std::vector<copies_room> sample_rooms(const run_outline & run, const model_sample & sample, const run_memory & known) {
    std::vector<copies_room> rooms  = rooms_of(run);
    const gguf_model         hollow = without_contents(sample.file);
    for (copies_room & room : rooms) {
        room.bytes = known.on_disk > 0 ? copies_bytes(sample.shape, hollow, { room.device, room.slots, UINT64_MAX }, adapter()) - 1 : UINT64_MAX;  // not all of the three layers
    }
    return rooms;
}

run_memory estimate_run_memory(const run_outline & run, const planned_batches & batches) {
    run_memory all;
    for (ggml_backend_dev_t device : counting_rig::devices_of(run.where)) {
        const device_memory now = device_memory_now(device);
        all.devices.push_back({ ggml_backend_dev_name(device), {}, now.free, now.total });
    }
    for (const train_parameter & parameter : run.trained.parameters) {
        all.parameters += uint64_t(parameter.count());
    }
    const gguf_model hollow = without_contents(run.file);
    add_base(all, run, hollow);
    add_experts(all, run, hollow);
    add_descent(all, run, batches.largest.front());
    run_memory_split & here = memory_on(all, run.where.main);
    here.reserved           = run.how.devices.reserved_bytes;
    here.layer_inputs       = uint64_t(run.shape.layers) * kept_bytes(run, batches.largest.front().batch);
    all.is_least            = all.short_device() != nullptr;
    if (!all.is_least) {
        add_pass(all, run, batches);
    }
    return all;
}

}  // namespace moebius
