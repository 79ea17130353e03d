#include "context.h"

#include "rpc/errors.h"

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <algorithm>

namespace moebius {

namespace {

// Logits of a whole batch are only asked by model.logits: bounds what that costs in compute buffers on large vocabularies.
constexpr size_t logits_buffer_bytes = 32u << 20;

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
    parameters.kv_unified            = true;
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
    attach_threadpools(options);
    warm_up();
}

decode_context::~decode_context() {
    if (context) {
        llama_detach_threadpool(context.get());
    }
}

// Without a pool of its own the CPU backend would start its threads anew for every graph.
void decode_context::attach_threadpools(const load_options & options) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_reg_t reg = cpu ? ggml_backend_dev_backend_reg(cpu) : nullptr;
    if (!reg) {
        return;
    }
    const auto create  = reinterpret_cast<decltype(ggml_threadpool_new) *>(ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_new"));
    const auto destroy = reinterpret_cast<decltype(ggml_threadpool_free) *>(ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_free"));
    if (!create || !destroy) {
        return;
    }
    const auto start = [&](int threads, bool paused) {
        ggml_threadpool_params parameters = ggml_threadpool_params_default(std::max(1, threads));
        parameters.paused                 = paused;
        return threadpool(create(&parameters), destroy);
    };
    const bool separate = options.threads_batch != options.threads;
    pool                = start(options.threads, separate);
    if (separate) {
        pool_batch = start(options.threads_batch, false);
    }
    llama_attach_threadpool(context.get(), pool.get(), separate ? pool_batch.get() : pool.get());
}

// One token through the whole model: devices compile their kernels, the system maps the pages. Leaves nothing behind.
void decode_context::warm_up() {
    const llama_token bos   = llama_vocab_bos(vocab());
    const llama_token eos   = llama_vocab_eos(vocab());
    llama_token       token = bos != LLAMA_TOKEN_NULL ? bos : eos != LLAMA_TOKEN_NULL ? eos : 0;
    if (llama_decode(context.get(), llama_batch_get_one(&token, 1)) == 0) {
        llama_synchronize(context.get());
    }
    llama_memory_clear(memory(), true);
}

}  // namespace moebius
