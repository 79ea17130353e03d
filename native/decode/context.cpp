#include "context.h"

#include "experts/backend/loaded-experts.h"
#include "remote/link.h"
#include "rpc/errors.h"

#include <ggml-backend.h>
#include <llama-adapter.h>
#include <llama-context.h>
#include <llama-ext.h>
#include <llama-model.h>

#include <algorithm>

namespace moebius {

namespace {

// Logits of a whole batch are only asked by model.logits: bounds what that costs in compute buffers on large vocabularies.
constexpr size_t logits_buffer_bytes = 32u << 20;

// A warm-up batch that takes longer is the last; the next one would take up to `warm_up_growth` times that.
constexpr int64_t  warm_up_step_us = 20000;
constexpr uint32_t warm_up_growth  = 8;

uint32_t output_limit(const llama_model * model, const load_options & options) {
    const size_t row_bytes = size_t(llama_vocab_n_tokens(llama_model_get_vocab(model))) * sizeof(float);
    const size_t rows      = std::min<size_t>(options.batch, logits_buffer_bytes / std::max<size_t>(row_bytes, 1));
    return uint32_t(std::max<size_t>(rows, options.sequences));
}

}  // namespace

llama_context_params decode_context_parameters(const llama_model * model, const load_options & options) {
    llama_context_params parameters  = llama_context_default_params();
    parameters.n_ctx                 = options.context_length * options.sequences;
    parameters.n_batch               = std::max(options.batch, options.sequences);
    parameters.n_ubatch              = parameters.n_batch;  // one llama_decode is one graph: the observer reads that graph
    parameters.n_seq_max             = options.sequences;
    parameters.n_outputs_max         = output_limit(model, options);
    parameters.n_outputs_max_per_seq = 1;  // counts for sequences with backend samplers only, which have no tokens here
    parameters.n_threads             = std::max(1, options.threads);
    parameters.n_threads_batch       = std::max(1, options.threads_batch);
    parameters.flash_attn_type       = options.flash_attention;
    parameters.type_k                = options.kv_type_k;
    parameters.type_v                = options.kv_type_v;
    // Sequences share all cells, so that a batch of any of them is one graph. A single one needs no sharing, which costs
    // 130 us a token: llama.cpp then checks every pair of LLAMA_MAX_SEQ sequences for each batch.
    parameters.kv_unified            = options.sequences > 1;
    parameters.swa_full              = false;
    parameters.no_perf               = true;
    return parameters;
}

decode_context::decode_context(llama_model * model, const load_options & options, const router_shape & shape)
    : model(model), length(options.context_length) {
    llama_context_params parameters = decode_context_parameters(model, options);
    if (options.telemetry && !shape.empty()) {
        hook = std::make_unique<router_observer>(shape);
        hook->attach(parameters);
    }
    context.reset(llama_init_from_model(model, parameters));
    if (!context) {
        throw user_error("model.load-failed",
                         "The context could not be created: " + std::to_string(options.sequences) + " sequences of " +
                             std::to_string(length) + " tokens. The log has llama.cpp's reason; try a shorter context, fewer "
                             "sequences or an f16 KV cache.",
                         { { "contextLength", length }, { "sequences", options.sequences } });
    }
    batch_size   = std::min(parameters.n_batch, llama_n_batch(context.get()));
    output_count = std::min(parameters.n_outputs_max, batch_size);
    by_sequence  = llama_model_is_recurrent(model) || llama_model_is_hybrid(model);
    observing    = hook && hook->sees_router();
    for (int32_t i = 0; i < llama_model_n_devices(model); i++) {
        if (remote_link_of(llama_model_get_device(model, i))) {
            remotes.push_back(llama_model_get_device(model, i));
        }
    }
    attach_threadpools(options);
    warm_up();
    check_devices();
}

void decode_context::check_devices() const {
    if (!remotes.empty()) {
        llama_synchronize(context.get());
        remote_check(remotes);
    }
}

decode_context::~decode_context() {
    model->loras.clear();  // it would free them, and they are not its own
    if (context) {
        llama_detach_threadpool(context.get());
        if (expert_source * experts = expert_source_of(model)) {
            experts->pools = {};
        }
    }
}

// llama.cpp would do it at the next llama_decode, where what it throws could not be caught.
void decode_context::set_adapters(const adapter_set & set) {
    std::vector<llama_adapter_lora *> loras;
    std::vector<float>                scales;
    std::set<int32_t>                 blocks;
    for (const adapter_set::use & use : set.uses) {
        loras.push_back(use.adapter->lora.get());
        scales.push_back(use.scale);
        blocks.insert(use.adapter->expert_blocks.begin(), use.adapter->expert_blocks.end());
    }
    if (expert_source * experts = expert_source_of(model)) {
        experts->adapt(blocks);
    }
    model->loras = { loras.begin(), loras.end() };  // the size of the graph depends on them
    llama_set_adapters_lora(context.get(), loras.data(), loras.size(), scales.data());
    context->sched_reserve();
}

void decode_context::use_adapters(const adapter_set & set) {
    if (set.key == adapters.key) {
        return;
    }
    try {
        set_adapters(set);
        adapters = set;
    } catch (const std::exception & error) {
        const std::string reason = error.what();
        adapters                 = {};
        try {
            set_adapters(adapters);
        } catch (const std::exception &) {  // llama.cpp then allocates with the next batch, or that fails
        }
        throw user_error("decode.failed", "The adapters could not be switched on: " + reason + ". They make the graph larger; close other programs, or load the "
                                          "model with a smaller batch.", { { "reason", reason } });
    }
}

void decode_context::attach_threadpools(const load_options & options) {
    const bool separate = options.threads_batch != options.threads;
    pool                = threadpool_start(options.threads, separate);
    if (!pool) {
        return;
    }
    if (separate) {
        pool_batch = threadpool_start(options.threads_batch);
    }
    llama_attach_threadpool(context.get(), pool.get(), separate ? pool_batch.get() : pool.get());
    if (expert_source * experts = expert_source_of(model)) {
        experts->pools = { pool.get(), separate ? pool_batch.get() : pool.get() };
    }
}

// Batches of growing size through the whole model, up to a full one while that is quick: devices compile their kernels, the
// system maps the pages of weights and buffers. The first prompt would pay for it otherwise. Leaves nothing behind.
void decode_context::warm_up() {
    const uint32_t           vocabulary = uint32_t(llama_vocab_n_tokens(vocab()));
    const uint32_t           most       = std::min(batch_size, length);
    std::vector<llama_token> tokens(most);
    for (uint32_t i = 0; i < most; ++i) {
        tokens[i] = llama_token(uint64_t(i) * 7919 % vocabulary);  // many different ones reach many experts
    }
    for (uint32_t count = 1;; count = std::min(count * warm_up_growth, most)) {
        const int64_t before = ggml_time_us();
        if (llama_decode(context.get(), llama_batch_get_one(tokens.data(), int32_t(count))) == 0) {
            llama_synchronize(context.get());
        }
        llama_memory_clear(memory(), true);
        if (count == most || ggml_time_us() - before > warm_up_step_us) {
            return;
        }
    }
}

}  // namespace moebius
