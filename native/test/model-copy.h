// Copies of the tiny model with another chat template.
#pragma once

#include <gguf.h>

#include <filesystem>
#include <random>
#include <string>

namespace moebius_test {

// The path of the copy, in the folder for temporary files; remove it.
inline std::string write_model_copy(const char * chat_template) {
    const std::string name    = "moebius-template-" + std::to_string(std::random_device()()) + ".gguf";
    const std::string path    = (std::filesystem::temp_directory_path() / name).string();
    ggml_context *    tensors = nullptr;
    gguf_context *    source  = gguf_init_from_file(MOEBIUS_TINY_MODEL, { false, &tensors });
    gguf_context *    copy    = gguf_init_empty();
    gguf_set_kv(copy, source);
    gguf_set_val_str(copy, "tokenizer.chat_template", chat_template);
    for (int64_t i = 0; i < gguf_get_n_tensors(source); ++i) {
        gguf_add_tensor(copy, ggml_get_tensor(tensors, gguf_get_tensor_name(source, i)));
    }
    gguf_write_to_file(copy, path.c_str(), false);
    gguf_free(copy);
    gguf_free(source);
    ggml_free(tensors);
    return path;
}

}  // namespace moebius_test
