// Files that are GGUF but no text-generating model. llama.cpp aborts on several of them (`clip`, `t5`, draft models).
#include "gguf-check.h"
#include "gguf-part.h"
#include "utf8.h"

#include <map>

namespace moebius {

static const char * reason_by_architecture(const std::string & architecture) {
    static const std::map<std::string, const char *> reasons = {
        { "clip", "an image projector (mmproj), to be used beside a model" },
        { "mmproj", "an image projector, to be used beside a model" },
        { "t5", "an encoder-decoder model" },
        { "t5encoder", "a text encoder" },
        { "bert", "an embedding model" },
        { "modern-bert", "an embedding model" },
        { "nomic-bert", "an embedding model" },
        { "nomic-bert-moe", "an embedding model" },
        { "neo-bert", "an embedding model" },
        { "jina-bert-v2", "an embedding model" },
        { "jina-bert-v3", "an embedding model" },
        { "eurobert", "an embedding model" },
        { "gemma-embedding", "an embedding model" },
        { "llama-embed", "an embedding model" },
        { "wavtokenizer-dec", "an audio decoder" },
        { "qwen3tts", "a speech model" },
        { "pockettts", "a speech model" },
        { "dream", "a diffusion model" },
        { "llada", "a diffusion model" },
        { "llada-moe", "a diffusion model" },
        { "rnd1", "a diffusion model" },
        { "eagle3", "a draft model for another model" },
        { "dflash", "a draft model for another model" },
        { "gemma4-assistant", "a draft model for another model" },
    };
    const auto found = reasons.find(architecture);
    return found == reasons.end() ? nullptr : found->second;
}

static void unsupported(const gguf_model & model, const std::string & what) {
    gguf_fail("model.unsupported", model.files.front(), "this is " + what + ", which cannot generate text by itself",
              { { "architecture", utf8_repair(model.architecture()) } });
}

void gguf_check_kind(const gguf_model & model) {
    const gguf_value * type = model.find("general.type");
    const auto *       kind = type != nullptr ? type->text() : nullptr;
    if (kind != nullptr && *kind == "adapter") {
        unsupported(model, "a LoRA adapter");
    }
    if (kind != nullptr && *kind != "model") {
        unsupported(model, "a GGUF of type '" + utf8_quote(*kind) + "'");
    }
    const std::string architecture = model.architecture();
    if (architecture.empty()) {
        gguf_fail("file.corrupt", model.files.front(), "general.architecture is missing or not a text");
    }
    if (const char * reason = reason_by_architecture(architecture)) {
        unsupported(model, reason);
    }
    if (model.tensors.empty()) {
        unsupported(model, "a vocabulary without weights");
    }
    const gguf_value * causal = model.find_hparam("attention.causal");
    if (causal != nullptr && causal->type == GGUF_TYPE_BOOL && causal->integer() == 0) {
        unsupported(model, "a model with attention in both directions");
    }
}

}  // namespace moebius
