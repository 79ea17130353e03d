// For tests of experts that are computed in fewer bits or left out: models to do it with, switching it on, counting.
#pragma once

#include "check.h"
#include "experts/store/low-precision.h"
#include "model/experts.h"

#include <gguf.h>

#include <filesystem>

namespace moebius_test {

using namespace moebius;

struct folder {
    std::filesystem::path path;
    explicit folder(const std::string & name) : path(std::filesystem::temp_directory_path() / name) {
        std::filesystem::remove_all(path);
        std::filesystem::create_directories(path);
    }
    ~folder() { std::filesystem::remove_all(path); }
};

inline std::string copy_of_tiny(const folder & in) {
    std::filesystem::copy_file(MOEBIUS_TINY_MODEL, in.path / "model.gguf");
    return (in.path / "model.gguf").u8string();
}

// The tiny model with experts that are in `type` already: their copies in fewer bits are the same bytes.
inline std::string low_bit_model(const folder & in, ggml_type type) {
    ggml_context *         loaded = nullptr;
    const gguf_context_ptr original(gguf_init_from_file(MOEBIUS_TINY_MODEL, { false, &loaded })), gguf(gguf_init_empty());
    const ggml_context_ptr tensors(loaded);
    std::vector<std::vector<uint8_t>> memory;
    gguf_set_kv(gguf.get(), original.get());
    for (int64_t i = 0; i < gguf_get_n_tensors(original.get()); i++) {
        ggml_tensor * tensor = ggml_get_tensor(loaded, gguf_get_tensor_name(original.get(), i));
        gguf_add_tensor(gguf.get(), tensor);
        if (!std::strstr(tensor->name, "_exps.")) {
            continue;
        }
        const int64_t rows = ggml_nrows(tensor);
        expert_part   from, into;
        from.type = tensor->type, into.type = type;
        from.n_in = into.n_in = tensor->ne[0];
        from.n_out = into.n_out = rows;
        memory.emplace_back(ggml_row_size(type, tensor->ne[0]) * size_t(rows));
        requantise(from, static_cast<const uint8_t *>(tensor->data), into, memory.back().data());
        gguf_set_tensor_type(gguf.get(), tensor->name, type);
        gguf_set_tensor_data(gguf.get(), tensor->name, memory.back().data());
    }
    const std::string path = (in.path / "low.gguf").u8string();
    CHECK(gguf_write_to_file(gguf.get(), path.c_str(), false));
    return path;
}

inline void set(loaded_experts & experts, const gguf_model & file, std::optional<double> low_above, std::vector<double> skip_above = {}, const char * type = "q2_k") {
    lossy_settings                    wanted;
    std::optional<low_precision_file> copies;
    if (low_above) {
        wanted.low        = lossy_settings::low_precision();
        wanted.low->type  = type;
        wanted.low->above = *low_above;
        copies            = low_precision_file_of(file, experts.store.layout(), type);
    }
    wanted.skip_above = std::move(skip_above);
    experts.lossy.set(wanted, copies);
}

inline void wait_until_ready(loaded_experts & experts) {
    while (experts.lossy.status().state == low_precision_state::writing) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(experts.lossy.status().state == low_precision_state::ready);
}

inline lossy_layer_counters total_of(const lossy_status & status) {
    lossy_layer_counters sum;
    for (const lossy_layer_counters & layer : status.layers) {
        sum.add(layer);
        sum.bytes_not_read += layer.bytes_not_read;
    }
    return sum;
}

}  // namespace moebius_test
