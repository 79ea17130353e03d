// An adapter as training begins with it.
#pragma once

#include "adapter.h"
#include "model/gguf-file.h"

#include <optional>

namespace moebius {

struct lora_settings {
    int64_t lora_rank          = 0;  // 0: none
    float   lora_alpha         = 0;
    bool    is_rank_stabilised = false;
    float   dropout            = 0;  // share of its input's numbers, 0 to below 1
};

struct mixture_settings {
    lora_settings lora;               // of each expert's gate, up and down
    int64_t       experts      = 0;   // 0: no mixture
    int64_t       experts_used = 0;   // by a token
};

// What makes an expert one of those that data uses (ESFT, arXiv 2407.01906).
enum class affinity_kind {
    gate,    // the average weight that the router gives it
    tokens,  // the share of tokens that it gets
};

struct affinity_settings {
    affinity_kind by            = affinity_kind::gate;
    double          top_p         = 0.2;    // share of a layer's affinity that its chosen experts reach
    int64_t         sample_tokens = 16384;  // of the data
};

struct adapter_settings {
    lora_settings attention;  // q, k, v and output, and what latent attention has for them
    lora_settings ffn;        // gate, up and down of dense FFNs
    mixture_settings mixture;  // MixLoRA, in their place
    lora_settings experts;    // the same of every expert
    expert_choice chosen;     // or of these only
    std::optional<affinity_settings> affinity;  // by which they are to be chosen before new_adapter (run/expert-choice)
    lora_settings shared;     // the same of shared experts
    lora_settings router;
    bool          whole_router = false;  // the router itself; not beside an adapter of it
    bool          whole_norms  = false;  // of layers, and the last one
    bool          whole_embedding = false;  // also the head, where a model has one matrix for both
    bool          whole_head      = false;  // of models with a matrix of its own
    uint64_t      seed         = 0;
};

// Of every layer. a: uniform within 1 / sqrt(n_in), what PEFT's Kaiming initialisation comes to; b: 0, so that nothing is changed yet; a mixture's router: normal, of deviation 0.02. The same numbers for one
// seed, whatever else is trained. Throws user_error request.invalid: nothing would be trained, something that the model does not have, or impossible settings.
adapter new_adapter(const gguf_model & file, const adapter_settings & settings);

// The same without numbers: `values` and `gradient` are empty, and nothing is read. With as many experts as may be chosen, if affinity is still to choose them.
adapter outlined_adapter(const gguf_model & file, const adapter_settings & settings);

// Frobenius norm of what training changed of a whole tensor: from the base's numbers, which are read in pieces of at most 4 MiB; of a mixture's router, which no base has, from those that it began with.
// Throws user_error file.unreadable.
double whole_distance(const gguf_model & base, const train_parameter & parameter, uint64_t seed);

}  // namespace moebius
