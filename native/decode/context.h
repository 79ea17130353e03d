// A llama_context with all that belongs to it: persistent threadpools and the router observer.
#pragma once

#include "adapters.h"
#include "model/options.h"
#include "model/threadpool.h"
#include "router/observer.h"

#include <llama-cpp.h>
#include <llama.h>

#include <functional>
#include <memory>

namespace moebius {

class decode_context {
  public:
    // Throws user_error (model.load-failed). The router is observed if options.telemetry and the shape is not empty.
    decode_context(llama_model * model, const load_options & options, const router_shape & shape);
    ~decode_context();

    llama_context *     get() const { return context.get(); }
    llama_memory_t      memory() const { return llama_get_memory(context.get()); }
    const llama_vocab * vocab() const { return llama_model_get_vocab(model); }
    const llama_model * get_model() const { return model; }

    // nullptr: not asked, or the architecture hides its router
    router_observer * observer() const { return observing ? hook.get() : nullptr; }

    // From the next llama_decode on these adapters are on, and no others. Plans the graph anew if they change. Throws decode.failed: then none are on.
    void use_adapters(const adapter_set & set);
    // adapter_set::key
    const std::string & adapters_key() const { return adapters.key; }

    // Tokens of one sequence; llama.cpp itself rounds its cache up.
    uint32_t context_length() const { return length; }
    // Tokens in one llama_decode, which then is one ubatch.
    uint32_t batch() const { return batch_size; }
    // Tokens of one llama_decode whose logits may be asked.
    uint32_t outputs() const { return output_count; }
    // Throws device.lost once a machine that has a part of the model is lost. Waits for the last llama_decode if there is such a machine.
    void check_devices() const;
    // Recurrent and hybrid models split a batch by sequence: prompt chunks must then be decoded one sequence at a time.
    bool splits_by_sequence() const { return by_sequence; }

  private:
    void set_adapters(const adapter_set & set);
    void attach_threadpools(const load_options & options);
    void warm_up();

    llama_model *                    model;
    uint32_t                         length       = 0;
    uint32_t                         batch_size   = 0;
    uint32_t                         output_count = 0;
    bool                             by_sequence  = false;
    bool                             observing    = false;
    std::vector<ggml_backend_dev_t>  remotes;  // in use, of other machines
    // in this order: the context uses all of them until it is gone
    adapter_set                      adapters;
    std::unique_ptr<router_observer> hook;
    threadpool                       pool;
    threadpool                       pool_batch;
    llama_context_ptr                context;
};

// The parameters that decode_context uses, without the observer: for estimates that build a context of their own.
llama_context_params decode_context_parameters(const llama_model * model, const load_options & options);

}  // namespace moebius
