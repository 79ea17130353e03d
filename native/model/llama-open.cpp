#include "llama-open.h"

#include "rpc/errors.h"

#include <llama-arch.h>

#include <filesystem>

namespace moebius {

namespace {

[[noreturn]] void refuse(const gguf_model & file, const char * code, const std::string & reason) {
    const std::string name = std::filesystem::u8path(file.files.front()).filename().u8string();
    throw user_error(code, name + ": " + reason + ".", { { "path", file.files.front() }, { "architecture", file.architecture() } });
}

void check_architecture(const gguf_model & file) {
    const std::string name = file.architecture();
    const llm_arch    arch = llm_arch_from_string(name);
    if (arch == LLM_ARCH_UNKNOWN) {
        refuse(file, "model.unsupported", "llama.cpp " + std::string(llama_version()) + " does not know the architecture '" +
                                              name.substr(0, 100) + "'; a newer release of this application may");
    }
}

}  // namespace

llama_model_ptr llama_open(const gguf_model & file, const llama_model_params & parameters, const llama_log_scope & log) {
    check_architecture(file);
    std::vector<const char *> paths;
    for (const std::string & path : file.files) {
        paths.push_back(path.c_str());
    }
    // remembers whether a null model means "cancelled" or "failed"
    struct progress_state {
        llama_progress_callback callback;
        void *                  user_data;
        bool                    stopped;
    } state{ parameters.progress_callback, parameters.progress_callback_user_data, false };
    llama_model_params with_progress       = parameters;
    with_progress.progress_callback_user_data = &state;
    with_progress.progress_callback        = [](float fraction, void * user_data) {
        auto & state  = *static_cast<progress_state *>(user_data);
        state.stopped = state.stopped || (state.callback && !state.callback(fraction, state.user_data));
        return !state.stopped;
    };
    llama_model_ptr model(llama_model_load_from_splits(paths.data(), paths.size(), with_progress));
    if (!model && !state.stopped) {
        refuse(file, "model.load-failed", log.first_error("llama.cpp could not load it and gave no reason"));
    }
    if (model && (llama_model_has_encoder(model.get()) || !llama_model_has_decoder(model.get()))) {
        refuse(file, "model.unsupported", "an encoder, which cannot generate text by itself");
    }
    return model;
}

}  // namespace moebius
