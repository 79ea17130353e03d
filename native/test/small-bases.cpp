// Which small models there are.
#include "small-base.h"

namespace moebius_test {

const std::vector<small_base> & small_bases() {
    static const std::vector<small_base> all = [] {
        std::vector<small_base> bases(10);
        auto named = [&, i = size_t(0)](const char * name, const char * architecture) mutable -> small_base & {
            bases[i].name         = name;
            bases[i].architecture = architecture;
            return bases[i++];
        };
        named("qwen3moe", "qwen3moe");
        named("qwen3moe-fused", "qwen3moe").is_fused = true;
        named("llama", "llama");
        named("olmoe", "olmoe").kv_heads             = 4;  // its graph takes no others
        named("qwen2moe", "qwen2moe").has_shared     = true;
        named("granitemoe", "granitemoe").has_shared = true;
        named("qwen3moe-yarn", "qwen3moe").has_yarn  = true;
        named("llama-longrope", "llama").has_long_rope = true;
        small_base & lite = named("deepseek2-lite", "deepseek2");
        lite.has_shared = lite.has_yarn = true;
        lite.latent                     = { false, 0, 32 };
        lite.layers                     = 3;
        lite.dense_layers               = 1;
        small_base & whole = named("deepseek2", "deepseek2");
        whole.has_shared = whole.has_yarn = whole.has_sigmoids = true;
        whole.latent                                           = { true, 64, 32, 40 };
        return bases;
    }();
    return all;
}

const std::vector<small_base> & dense_bases() {
    static const std::vector<small_base> all = [] {
        std::vector<small_base> bases(2);
        bases[0].architecture = "llama";
        bases[0].has_factors  = true;
        bases[1].architecture = "qwen3";
        for (small_base & base : bases) {
            base.is_tied = true;
            base.experts = base.used = 0;
        }
        return bases;
    }();
    return all;
}

}  // namespace moebius_test
