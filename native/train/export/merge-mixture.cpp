#include "merge-mixture.h"

#include "model/gguf-part.h"
#include "model/tensor-class.h"

#include <cassert>

namespace moebius {

namespace {

// What has the same graph as the base but for the FFN. Not qwen2moe for qwen2: it does not normalise weights and has to have a shared expert.
const char * architecture_with_experts(const gguf_model & base) {
    if (base.architecture() == "llama") {
        return "llama";  // with expert_count, Mixtral's
    }
    if (base.architecture() == "qwen3") {
        return "qwen3moe";
    }
    gguf_fail("model.unsupported", base.files.front(), "no architecture of llama.cpp is " + base.architecture() + " with experts; a mixture can be merged on llama and qwen3");
}

void copy_array(const gguf_context * from, int64_t id, gguf_context * into, const char * key) {
    const size_t count = gguf_get_arr_n(from, id);
    if (gguf_get_arr_type(from, id) != GGUF_TYPE_STRING) {
        gguf_set_arr_data(into, key, gguf_get_arr_type(from, id), gguf_get_arr_data(from, id), count);
        return;
    }
    std::vector<const char *> texts;
    for (size_t i = 0; i < count; i++) {
        texts.push_back(gguf_get_arr_str(from, id, i));
    }
    gguf_set_arr_str(into, key, texts.data(), count);
}

// ggml has no renaming.
void copy_value(const gguf_context * from, int64_t id, gguf_context * into, const char * key) {
    switch (gguf_get_kv_type(from, id)) {
        case GGUF_TYPE_UINT8:   return gguf_set_val_u8(into, key, gguf_get_val_u8(from, id));
        case GGUF_TYPE_INT8:    return gguf_set_val_i8(into, key, gguf_get_val_i8(from, id));
        case GGUF_TYPE_UINT16:  return gguf_set_val_u16(into, key, gguf_get_val_u16(from, id));
        case GGUF_TYPE_INT16:   return gguf_set_val_i16(into, key, gguf_get_val_i16(from, id));
        case GGUF_TYPE_UINT32:  return gguf_set_val_u32(into, key, gguf_get_val_u32(from, id));
        case GGUF_TYPE_INT32:   return gguf_set_val_i32(into, key, gguf_get_val_i32(from, id));
        case GGUF_TYPE_FLOAT32: return gguf_set_val_f32(into, key, gguf_get_val_f32(from, id));
        case GGUF_TYPE_BOOL:    return gguf_set_val_bool(into, key, gguf_get_val_bool(from, id));
        case GGUF_TYPE_STRING:  return gguf_set_val_str(into, key, gguf_get_val_str(from, id));
        case GGUF_TYPE_UINT64:  return gguf_set_val_u64(into, key, gguf_get_val_u64(from, id));
        case GGUF_TYPE_INT64:   return gguf_set_val_i64(into, key, gguf_get_val_i64(from, id));
        case GGUF_TYPE_FLOAT64: return gguf_set_val_f64(into, key, gguf_get_val_f64(from, id));
        case GGUF_TYPE_ARRAY:   return copy_array(from, id, into, key);
        case GGUF_TYPE_COUNT:   assert(false);
    }
}

// Keys of the base's architecture become keys of the new one.
void rename_architecture(gguf_context * header, const std::string & from, const std::string & into) {
    const std::string        prefix = from + ".";
    std::vector<std::string> keys;
    for (int64_t i = 0; i < gguf_get_n_kv(header); i++) {
        const std::string key = gguf_get_key(header, i);
        if (key.compare(0, prefix.size(), prefix) == 0) {
            keys.push_back(key);
        }
    }
    const gguf_context_ptr before(gguf_init_empty());
    gguf_set_kv(before.get(), header);
    for (const std::string & key : keys) {
        gguf_remove_key(header, key.c_str());
        copy_value(before.get(), gguf_find_key(before.get(), key.c_str()), header, (into + "." + key.substr(prefix.size())).c_str());
    }
    gguf_set_val_str(header, "general.architecture", into.c_str());
}

}  // namespace

merged_tensor mixture_stack(const gguf_tensor & from, ggml_type type, const adapted_tensor & pair, const lora_mixture & mixture) {
    const std::string block = "blk." + std::to_string(tensor_layer(from.name)) + ".";
    merged_tensor     stack{ block + tensor_base(from.name) + "_exps.weight", { from.ne[0], from.ne[1], mixture.experts, 1 } };
    stack.from = &from;
    stack.type = type;
    stack.pair = &pair;
    return stack;
}

merged_tensor mixture_router(const train_parameter & router) {
    merged_tensor tensor{ router.name, { router.n0, router.n1, router.n2, 1 } };
    tensor.whole = &router;
    return tensor;
}

void set_mixture_metadata(gguf_context * header, const gguf_model & base, const lora_mixture & mixture) {
    const std::string architecture = architecture_with_experts(base);
    if (architecture != base.architecture()) {
        rename_architecture(header, base.architecture(), architecture);
    }
    const auto set = [&](const char * key, int64_t value) { gguf_set_val_u32(header, (architecture + "." + key).c_str(), uint32_t(value)); };
    set("expert_count", mixture.experts);
    set("expert_used_count", mixture.experts_used);
    set("expert_feed_forward_length", base.hparam("feed_forward_length", 0));
}

}  // namespace moebius
