#include "expert-copies.h"

#include "rpc/errors.h"

#include <algorithm>

namespace moebius {

namespace {

uint64_t matrix_bytes(const gguf_tensor & stack) {
    return stack.bytes / uint64_t(stack.ne[2]);
}

// [experts]
std::vector<int32_t> matrices_of(const adapted_tensor & tensor, int64_t experts) {
    std::vector<int32_t> matrices;
    for (int32_t expert = 0; expert < experts; expert++) {
        matrices.push_back(tensor.matrix_of(expert));
    }
    return matrices;
}

uint64_t padded(uint64_t bytes, uint64_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

expert_copies::expert_copies(const gguf_model & file, const base_shape & shape, const adapter & of, const copies_room & with)
    : room(with), reader(file), adapters(with.device, of.parameters.size()), frozen(ggml_init({ size_t(shape.layers) * 3 * ggml_tensor_overhead(), nullptr, true })) {
    make_stacks(file, of, shape.layers);
    for (layer_copies_of & layer : layers) {
        layer.experts.assign(size_t(room.slots), -1);
        layer.slot_of.assign(size_t(shape.experts), -1);
    }
    adapters.allocate();
    make_areas();
}

expert_copies::~expert_copies() {
    if (reading.valid()) {
        reading.wait();
    }
}

void expert_copies::make_stacks(const gguf_model & file, const adapter & of, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const expert_tensors found = expert_tensors_of(file, i);
        layer_copies_of      layer;
        for (size_t part = 0; part < layer.stacks.size(); part++) {
            stack & made = layer.stacks[part];
            made.from    = found.all()[part];
            if (!made.from) {
                continue;
            }
            made.here       = ggml_new_tensor_3d(frozen.get(), made.from->type, made.from->ne[0], made.from->ne[1], room.slots);
            ggml_set_name(made.here, made.from->name.c_str());
            const auto lora = std::find_if(of.tensors.begin(), of.tensors.end(), [&](const adapted_tensor & each) { return each.base == made.from->name; });
            if (lora != of.tensors.end()) {
                const train_parameter &a = of.parameters[lora->a], &b = of.parameters[lora->b];
                made.a         = adapters.make(GGML_TYPE_F32, a.n0, a.n1, std::min(room.slots, a.n2));
                made.b         = adapters.make(GGML_TYPE_F32, b.n0, b.n1, std::min(room.slots, b.n2));
                made.scale     = lora->scale();
                made.dropout   = lora->dropout;
                made.indices   = { lora->a, lora->b };
                made.matrix_of = matrices_of(*lora, made.from->ne[2]);
            }
        }
        layers.push_back(std::move(layer));
    }
}

// As many layers as fit have memory of their own; the others two rooms, each of which has the largest of its layers.
void expert_copies::make_areas() {
    const ggml_backend_buffer_type_t type      = ggml_backend_dev_buffer_type(room.device);
    const uint64_t                   alignment = ggml_backend_buft_get_alignment(type);
    std::vector<uint64_t>            bytes;
    for (const layer_copies_of & layer : layers) {
        uint64_t sum = 0;
        for (const stack & each : layer.stacks) {
            sum += each.here ? padded(ggml_backend_buft_get_alloc_size(type, each.here), alignment) : 0;
        }
        bytes.push_back(sum);
    }
    const auto needed = [&](size_t stay) {  // bytes if the first `stay` layers do
        uint64_t sum = 0, rooms[2] = { 0, 0 };
        for (size_t i = 0; i < bytes.size(); i++) {
            if (i < stay) {
                sum += bytes[i];
            } else {
                rooms[i % 2] = std::max(rooms[i % 2], bytes[i]);
            }
        }
        return sum + rooms[0] + rooms[1];
    };
    size_t stay = bytes.size();
    while (stay > 0 && needed(stay) > room.bytes) {
        stay--;
    }
    if (needed(stay) > room.bytes) {
        throw user_error("model.does-not-fit",
                         std::string(ggml_backend_dev_name(room.device)) + " may have " + std::to_string(room.bytes) + " bytes for " + std::to_string(room.slots) +
                             " frozen experts of a layer, and two layers of them need " + std::to_string(needed(stay)) + ". Let it have more, or fewer experts.",
                         { { "device", ggml_backend_dev_name(room.device) }, { "have", room.bytes }, { "need", needed(stay) } });
    }
    areas.resize(stay == bytes.size() ? stay : std::min(stay + 2, bytes.size()));
    std::vector<uint64_t> sizes(areas.size(), 0);
    for (size_t i = 0; i < layers.size(); i++) {
        layers[i].area        = i < stay ? i : stay + (i - stay) % 2;
        sizes[layers[i].area] = std::max(sizes[layers[i].area], bytes[i]);
    }
    for (size_t i = 0; i < areas.size(); i++) {
        areas[i].buffer.reset(ggml_backend_buft_alloc_buffer(type, sizes[i]));
        if (!areas[i].buffer) {
            throw user_error("model.does-not-fit", std::string(ggml_backend_dev_name(room.device)) + " has no room for " + std::to_string(sizes[i]) + " bytes of frozen experts.",
                             { { "device", ggml_backend_dev_name(room.device) }, { "need", sizes[i] } });
        }
        areas[i].experts.assign(size_t(room.slots), -1);
    }
    for (layer_copies_of & layer : layers) {
        give_memory(areas[layer.area], layer);
    }
}

void expert_copies::give_memory(area & to, layer_copies_of & of) const {
    const ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(room.device);
    auto *                           at   = static_cast<uint8_t *>(ggml_backend_buffer_get_base(to.buffer.get()));
    for (stack & each : of.stacks) {
        if (each.here) {
            ggml_backend_tensor_alloc(to.buffer.get(), each.here, at);
            at += padded(ggml_backend_buft_get_alloc_size(type, each.here), ggml_backend_buft_get_alignment(type));
        }
    }
}

void expert_copies::place(int64_t layer, const std::vector<bool> & experts) {
    finish_reading();
    layer_copies_of & of = layers[size_t(layer)];
    GGML_ASSERT(experts.size() == of.slot_of.size() && std::count(experts.begin(), experts.end(), true) <= room.slots);
    for (int32_t & expert : of.experts) {
        if (expert >= 0 && !experts[size_t(expert)]) {
            of.slot_of[size_t(expert)] = -1;
            expert                     = -1;
        }
    }
    auto free = of.experts.begin();
    for (size_t expert = 0; expert < experts.size(); expert++) {
        if (experts[expert] && of.slot_of[expert] < 0) {
            free               = std::find(free, of.experts.end(), -1);
            *free              = int32_t(expert);
            of.slot_of[expert] = int32_t(free - of.experts.begin());
        }
    }
    for (stack & each : of.stacks) {
        each.place_of.assign(each.a ? of.experts.size() : 0, -1);
        int32_t places = 0;
        for (size_t slot = 0; slot < each.place_of.size(); slot++) {
            if (of.experts[slot] >= 0 && each.matrix_of[size_t(of.experts[slot])] >= 0) {
                each.place_of[slot] = places++;
            }
        }
    }
}

void expert_copies::write(const adapter & of) {
    for (const layer_copies_of & layer : layers) {
        for (const stack & each : layer.stacks) {
            for (const auto & [tensor, index] : { std::pair(each.a, each.indices.a), std::pair(each.b, each.indices.b) }) {
                for (size_t slot = 0; slot < each.place_of.size(); slot++) {
                    if (each.place_of[slot] >= 0) {
                        const int32_t       matrix = each.matrix_of[size_t(layer.experts[slot])];
                        const float * const values = of.parameters[index].values.data() + matrix * tensor->ne[0] * tensor->ne[1];
                        ggml_backend_tensor_set(tensor, values, size_t(each.place_of[slot]) * tensor->nb[2], tensor->nb[2]);
                        written.adapters += tensor->nb[2];
                    }
                }
            }
        }
    }
}

std::vector<expert_copies::missing> expert_copies::missing_of(int64_t layer) const {
    const layer_copies_of & of   = layers[size_t(layer)];
    const area &            have = areas[of.area];
    std::vector<missing>    what;
    for (const stack & each : of.stacks) {
        for (size_t slot = 0; each.here && slot < of.experts.size(); slot++) {
            if (of.experts[slot] >= 0 && (have.layer != layer || have.experts[slot] != of.experts[slot])) {
                what.push_back({ &each, int32_t(slot), of.experts[slot] });
            }
        }
    }
    return what;
}

expert_copies::fetched expert_copies::fetch(int64_t layer, std::vector<missing> what) {
    fetched result{ layer, std::move(what), {} };
    for (const missing & each : result.what) {
        const uint64_t bytes = matrix_bytes(*each.of->from), offset = uint64_t(each.expert) * bytes;
        if (ggml_backend_buffer_is_host(each.of->here->buffer)) {
            reader.read(*each.of->from, offset, bytes, static_cast<uint8_t *>(each.of->here->data) + size_t(each.slot) * each.of->here->nb[2]);
        } else {
            result.bytes.emplace_back(bytes);
            reader.read(*each.of->from, offset, bytes, result.bytes.back().data());
        }
    }
    return result;
}

void expert_copies::take(fetched && what) {
    const layer_copies_of & of   = layers[size_t(what.layer)];
    area &                  have = areas[of.area];
    for (size_t i = 0; i < what.what.size(); i++) {
        const missing & each = what.what[i];
        if (!what.bytes.empty()) {
            ggml_backend_tensor_set(each.of->here, what.bytes[i].data(), size_t(each.slot) * each.of->here->nb[2], what.bytes[i].size());
        }
        written.frozen += matrix_bytes(*each.of->from);
    }
    have.layer   = what.layer;
    have.experts = of.experts;
}

void expert_copies::finish_reading() {
    if (reading.valid()) {
        take(reading.get());
    }
}

placed_experts expert_copies::use(int64_t layer, int64_t next, bool trains) {
    finish_reading();
    const layer_copies_of & of = layers[size_t(layer)];
    std::vector<missing>    what = missing_of(layer);
    if (!what.empty()) {
        areas[of.area].layer = -1;  // until all of it is there
        take(fetch(layer, std::move(what)));
    }
    if (next >= 0 && layers[size_t(next)].area != of.area) {
        std::vector<missing> ahead = missing_of(next);
        if (!ahead.empty()) {
            areas[layers[size_t(next)].area].layer = -1;
            reading = std::async(std::launch::async, [this, next, ahead = std::move(ahead)]() mutable { return fetch(next, std::move(ahead)); });
        }
    }
    const auto matrices = [trains](const stack & from) {
        expert_matrices made;
        made.weight  = from.here;
        made.lora_a  = from.a;
        made.lora_b  = from.b;
        made.scale   = from.scale;
        made.trained = trains;
        made.places  = from.place_of;
        return made;
    };
    return { { matrices(of.stacks[0]), matrices(of.stacks[1]), matrices(of.stacks[2]) }, of.experts };
}

}  // namespace moebius
