// Greedy replies equal a plain llama_decode loop, whatever the decoder does besides.
#include "check.h"
#include "decode-harness.h"

using namespace moebius_test;

namespace {

struct plain_run {
    std::vector<int32_t> tokens;
    std::vector<float>   prompt_logits;  // of the last prompt token
};

// stock llama.cpp: one sequence, no hooks
plain_run run_plainly(const llama_model * model, std::vector<llama_token> prompt, size_t count) {
    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx                = 512;
    parameters.n_batch = parameters.n_ubatch = 256;
    parameters.n_threads = parameters.n_threads_batch = 1;
    llama_context_ptr   context(llama_init_from_model(const_cast<llama_model *>(model), parameters));
    const llama_vocab * vocab = llama_model_get_vocab(model);
    const size_t        size  = size_t(llama_vocab_n_tokens(vocab));
    plain_run           run;
    llama_batch         batch = llama_batch_get_one(prompt.data(), int32_t(prompt.size()));
    llama_token         next  = 0;
    for (size_t i = 0; i < count; ++i) {
        if (llama_decode(context.get(), batch) != 0) {
            break;
        }
        const float * logits = llama_get_logits_ith(context.get(), -1);
        if (i == 0) {
            run.prompt_logits.assign(logits, logits + size);
        }
        next = llama_token(std::max_element(logits, logits + size) - logits);
        run.tokens.push_back(next);
        if (llama_vocab_is_eog(vocab, next)) {
            break;
        }
        batch = llama_batch_get_one(&next, 1);
    }
    return run;
}

const char * const prompts[] = {
    "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\n",
    "In the beginning God created",
    "static int parse_args(int argc, char ** argv) {\n",
};

double largest_difference(const std::vector<float> & a, const std::vector<float> & b) {
    double most = a.size() == b.size() ? 0 : 1e9;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        most = std::max(most, std::fabs(double(a[i]) - double(b[i])));
    }
    return most;
}

void check_prompt(tiny_engine & tiny, const char * prompt) {
    const std::vector<llama_token> tokens = common_tokenize(tiny.vocab(), prompt, true, true);
    const plain_run                plain  = run_plainly(tiny.model.get(), tokens, 48);
    const json                     basis  = { { "prompt", prompt }, { "maxTokens", 48 } };

    json fresh        = basis;
    fresh["sampling"] = greedy();
    const reply_seen first = tiny.ask(fresh);
    CHECK(first.ids() == plain.tokens);
    CHECK_EQUAL(first.result["tokens"].get<size_t>(), plain.tokens.size());
    CHECK_EQUAL(first.result["promptTokens"].get<size_t>(), tokens.size());

    const reply_seen cached = tiny.ask(fresh);
    CHECK(cached.ids() == plain.tokens);
    CHECK_EQUAL(cached.result["cachedTokens"].get<size_t>(), tokens.size() - 1);

    // common_sampler's own greedy agrees with the fast path: a penalty window without effect makes it take part
    json chain        = basis;
    chain["sampling"] = { { "temperature", 0 }, { "dryMultiplier", 1e-6 }, { "dryAllowedLength", 400 } };
    CHECK(tiny.ask(chain).ids() == plain.tokens);

    // the same kernels on the same batch: bit-equal
    const reply_seen logits = tiny.logits({ { "tokens", tokens } });
    CHECK_EQUAL(largest_difference(logits.logits, plain.prompt_logits), 0.0);
    CHECK_EQUAL(logits.result["rowCount"].get<int>(), 1);
}

void check_all_logits(tiny_engine & tiny) {
    const std::vector<llama_token> tokens = common_tokenize(tiny.vocab(), prompts[2], true, true);
    const reply_seen               all    = tiny.logits({ { "tokens", tokens }, { "all", true } });
    const reply_seen               one    = tiny.logits({ { "tokens", tokens } });
    const size_t                   size   = size_t(llama_vocab_n_tokens(tiny.vocab()));
    CHECK_EQUAL(all.logits.size(), size * tokens.size());
    // another number of rows in the last matrix product: rounding only
    CHECK(largest_difference({ all.logits.end() - ptrdiff_t(size), all.logits.end() }, one.logits) < 1e-3);
}

}  // namespace

int main() {
    start_llama();
    tiny_engine tiny;
    CHECK(tiny.engine->observes_router());
    for (const char * prompt : prompts) {
        check_prompt(tiny, prompt);
    }
    check_all_logits(tiny);

    moebius::load_options blind = tiny_options();
    blind.telemetry             = false;
    tiny_engine unobserved(blind);
    CHECK(!unobserved.engine->observes_router());
    for (const char * prompt : prompts) {
        check_prompt(unobserved, prompt);
    }
    CHECK(tiny.out.whole_frames);
    return check_result();
}
