// LoadOptions of main/engine/protocol.ts with every default filled in.
#pragma once

#include "lossy-settings.h"
#include "rpc/errors.h"

#include <ggml.h>
#include <llama.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moebius {

inline constexpr const char * default_expert_policy = "score";

// A GPU that holds copies of experts.
struct expert_budget {
    std::string id;
    uint64_t    bytes = 0;  // for copies
};

// Which experts devices may hold in fewer bits: see low_copies.
struct replica_precision {
    std::string type  = "q4_0";  // of low_precision_names()
    double      share = 0.25;    // of a layer's experts, at most
};

struct load_options {
    uint32_t                 context_length    = 0;  // tokens per sequence
    uint32_t                 sequences         = 4;  // the KV cache has context_length * sequences cells, unified
    uint32_t                 batch             = 512;
    int32_t                  threads           = 0;
    int32_t                  threads_batch     = 0;
    int32_t                  gpu_layers        = 0;
    std::vector<std::string> devices;       // llama.cpp device names, GPUs only
    std::vector<float>       tensor_split;  // one per device, or empty
    int32_t                  cpu_expert_layers = 0;
    std::optional<uint64_t>  expert_ram_bytes;        // 0: experts are loaded like other weights; open: see fit_experts
    std::string              expert_policy     = "auto";  // default_expert_policy until somebody has replayed a trace
    std::string              slot_allocation   = "auto";  // "auto", "uniform", "marginal", "shallow"; "auto" and "marginal" are "uniform" until then
    bool                     expert_prefetch   = true;
    std::string              expert_storage    = "auto";  // "slots", "ring"
    bool                     expert_layout     = true;  // use the model's layout file if there is one
    std::string              layout_fingerprint;        // of the model, if its layout file is to be used: see find_layout
    std::optional<std::vector<expert_budget>> expert_devices;  // open: see fit_experts
    bool                     expert_replication = true;  // copies there follow the load
    lossy_request            lossy;                      // off
    std::optional<replica_precision> expert_replica_precision;  // lossy; open: off
    ggml_type                kv_type_k         = GGML_TYPE_F16;
    ggml_type                kv_type_v         = GGML_TYPE_F16;
    llama_flash_attn_type    flash_attention   = LLAMA_FLASH_ATTN_TYPE_AUTO;
    bool                     memory_map        = true;
    bool                     telemetry         = true;
};

// Fills in the defaults for the model that `inspection` describes (an Inspection object) and this machine's devices.
// `options` may be null. Throws request.invalid or device.not-found.
load_options options_parse(const json * options, const json & inspection);

// Whether they are {"vocabularyOnly": true}, with which there is nothing for other options to say. `options` may be null. Throws request.invalid.
bool options_vocabulary_only(const json * options);

// {type, share}. Throws request.invalid.
replica_precision replica_precision_parse(const json & choice, const char * where);
json              replica_precision_to_json(const replica_precision & choice);

// [{id, bytes}]. Throws request.invalid, device.not-found; `where`: how messages name the list.
std::vector<expert_budget> expert_devices_parse(const json & list, const char * where);

// A name of cache_policy_names(): what the store begins with.
std::string policy_at_load(const load_options & options);

// "off", "auto": whether experts are read before they are asked for, as far as it pays.
const std::vector<std::string> & prefetch_modes();
const char *                     prefetch_mode(bool on);

// The LoadOptions object; all fields but tensorSplit are always present (those of experts once they are decided).
json options_to_json(const load_options & options);

}  // namespace moebius
