#include "model-parameters.h"

#include "devices.h"

namespace moebius {

model_parameters::model_parameters(const load_options & options, const json & inspection, loaded_experts * experts)
    : value(llama_model_default_params()) {
    for (const std::string & id : options.devices) {
        devices.push_back(gpu_device(id));
    }
    devices.push_back(nullptr);
    if (!options.tensor_split.empty()) {
        split = options.tensor_split;
        split.resize(llama_max_devices(), 0.0f);
        value.tensor_split = split.data();
    }
    if (experts) {
        patterns.push_back(experts->pattern);
        overrides.push_back({ nullptr, experts->type.get() });
    }
    if (!options.devices.empty() && options.cpu_expert_layers > 0) {
        const json & layers = inspection.at("moeLayers");
        for (int32_t i = 0; i < options.cpu_expert_layers; i++) {
            patterns.push_back("^blk\\." + std::to_string(layers.at(size_t(i)).get<int32_t>()) +
                               "\\.ffn_(up|down|gate|gate_up)_(ch|)exps\\.weight$");
            overrides.push_back({ nullptr, ggml_backend_cpu_buffer_type() });
        }
    }
    for (size_t i = 0; i < patterns.size(); i++) {
        overrides[i].pattern = patterns[i].c_str();
    }
    if (!overrides.empty()) {
        overrides.push_back({ nullptr, nullptr });
        value.tensor_buft_overrides = overrides.data();
    }
    value.devices      = devices.data();
    value.n_gpu_layers = options.gpu_layers;
    value.load_mode    = options.memory_map || experts /* else each would be read */ ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
}

}  // namespace moebius
