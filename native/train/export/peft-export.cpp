#include "peft-export.h"

#include "adapter-export.h"
#include "experts/layout/file-writer.h"
#include "peft-pairs.h"
#include "rpc/errors.h"
#include "safetensors-file.h"

#include <cassert>
#include <filesystem>

namespace moebius {

namespace {

std::vector<safetensor> tensors_of(std::vector<peft_pair> & pairs) {
    std::vector<safetensor> tensors;
    for (peft_pair & pair : pairs) {
        const std::string name = "base_model.model." + pair.prefix;
        const int64_t     rows = pair.experts * pair.lora_rank;
        tensors.push_back({ name + ".lora_A.weight", { rows, pair.n_in }, std::move(pair.a) });
        tensors.push_back({ name + ".lora_B.weight", { pair.n_out, rows }, std::move(pair.b) });
    }
    return tensors;
}

// Modules and parameters by their full names: PEFT looks for names that end so, and only some layers may be adapted.
json config_of(const std::vector<peft_pair> & pairs, const std::string & base_name) {
    json modules = json::array(), parameters = json::array(), ranks = json::object(), alphas = json::object();
    for (const peft_pair & pair : pairs) {
        (pair.target.kind == peft_kind::module ? modules : parameters).push_back(pair.target.name());
        if (pair.lora_rank != pairs.front().lora_rank) {
            ranks[pair.target.name()] = pair.lora_rank;
        }
        if (pair.lora_alpha != pairs.front().lora_alpha) {
            alphas[pair.target.name()] = pair.lora_alpha;
        }
    }
    return {
        { "peft_type", "LORA" },
        { "task_type", "CAUSAL_LM" },
        { "base_model_name_or_path", base_name.empty() ? json(nullptr) : json(base_name) },
        { "inference_mode", true },
        { "r", pairs.front().lora_rank },
        { "lora_alpha", pairs.front().lora_alpha },
        { "rank_pattern", ranks },
        { "alpha_pattern", alphas },
        { "target_modules", modules },
        { "target_parameters", parameters },
        { "use_rslora", false },  // alphas are such that they need not be
        { "use_dora", false },
        { "lora_dropout", 0.0 },
        { "bias", "none" },
        { "fan_in_fan_out", false },
        { "init_lora_weights", true },
        { "modules_to_save", nullptr },
    };
}

}  // namespace

void peft_write(const adapter & trained, const gguf_model & base, const std::string & base_name, const std::string & folder) {
    assert(has_all_experts(trained));
    refuse_what_only_merges(trained, "a PEFT adapter");
    check_adapter_fits(trained, base, "The adapter");
    check_adapter_numbers(trained, "The adapter");
    std::vector<peft_pair> pairs = peft_pairs(trained, base);
    if (pairs.empty()) {
        throw user_error("request.invalid", "The adapter has no tensors; there is nothing to export.");
    }
    const std::string config = config_of(pairs, base_name).dump(2) + "\n";
    const auto        into   = std::filesystem::u8path(folder);
    std::error_code   error;
    std::filesystem::create_directories(into, error);
    if (error) {
        throw user_error("file.unwritable", folder + " cannot be made: " + error.message() + ". Check the permissions, or name another folder.", { { "path", folder } });
    }
    safetensors_write(tensors_of(pairs), (into / "adapter_model.safetensors").u8string());
    file_writer out((into / "adapter_config.json").u8string(), config.size(), config.size());
    out.write(config.data(), config.size());
    out.publish();
}

}  // namespace moebius
