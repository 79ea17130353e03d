#include "sampler.h"

#include "rpc/errors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace moebius {

namespace {

constexpr int32_t top_count_limit = 256;  // more are better found by llama.cpp's own top-k

// Nothing changes logits before top-k (or, for greedy, at all), nor looks at the history.
bool is_plain(const common_params_sampling & p) {
    return p.mirostat == 0 && p.grammar.empty() && p.logit_bias.empty() && p.penalty_repeat == 1.0f && p.penalty_freq == 0.0f &&
           p.penalty_present == 0.0f && p.dry_multiplier == 0.0f && p.top_n_sigma <= 0.0f;
}

std::vector<llama_token> with_suppressed(std::vector<llama_token> banned, const llama_vocab * vocab) {
    int32_t             count      = 0;
    const llama_token * suppressed = llama_vocab_get_suppress_tokens(vocab, &count);
    banned.insert(banned.end(), suppressed, suppressed + count);
    return banned;
}

user_error bad_grammar(const std::string & reason) {
    return user_error("grammar.invalid", "The grammar cannot be used (" + reason + "). It needs a rule `root`, every rule that is named, and no left recursion.");
}

// Tried alone first: common_sampler_init leaks its half-made chain when it refuses a grammar.
void check_grammar(const llama_vocab * vocab, const std::string & grammar) {
    llama_sampler * probe = llama_sampler_init_grammar(vocab, grammar.c_str(), "root");
    if (!probe) {
        throw bad_grammar("failed to parse grammar");
    }
    llama_sampler_free(probe);
}

}  // namespace

llama_token greedy_token(const float * logits, size_t count) {
    constexpr size_t lanes = 16;  // independent maxima, so that the compiler can use vector registers
    float            best[lanes];
    std::fill(best, best + lanes, -std::numeric_limits<float>::infinity());
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (size_t lane = 0; lane < lanes; ++lane) {
            best[lane] = logits[i + lane] > best[lane] ? logits[i + lane] : best[lane];
        }
    }
    float most = *std::max_element(best, best + lanes);
    for (; i < count; ++i) {
        most = logits[i] > most ? logits[i] : most;
    }
    if (most == -std::numeric_limits<float>::infinity()) {
        return LLAMA_TOKEN_NULL;
    }
    return llama_token(std::find(logits, logits + count, most) - logits);
}

void top_logits(const float * logits, size_t count, size_t wanted, const std::vector<llama_token> & never,
                std::vector<llama_token_data> & into) {
    const auto larger = [](const llama_token_data & a, const llama_token_data & b) {
        return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    };
    into.clear();
    float      least = -std::numeric_limits<float>::infinity();  // to beat, once there are enough
    const auto offer = [&](size_t i) {
        if (into.size() == wanted && !(logits[i] > least)) {
            return;
        }
        if (std::isnan(logits[i]) || std::find(never.begin(), never.end(), llama_token(i)) != never.end()) {
            return;
        }
        if (into.size() == wanted) {
            std::pop_heap(into.begin(), into.end(), larger);
            into.pop_back();
        }
        into.push_back({ llama_token(i), logits[i], 0.0f });
        std::push_heap(into.begin(), into.end(), larger);
        least = into.size() == wanted ? into.front().logit : least;
    };
    constexpr size_t lanes = 16;  // most blocks hold nothing: skipped after one vectorised look
    size_t           i     = 0;
    for (; i + lanes <= count; i += lanes) {
        bool any = into.size() < wanted;
        for (size_t lane = 0; lane < lanes; ++lane) {
            any |= logits[i + lane] > least;
        }
        for (size_t lane = 0; any && lane < lanes; ++lane) {
            offer(i + lane);
        }
    }
    for (; i < count; ++i) {
        offer(i);
    }
    std::sort_heap(into.begin(), into.end(), larger);
}

log_softmax::log_softmax(const float * logits, size_t count) : logits(logits), count(count) {
    const float most = *std::max_element(logits, logits + count);
    double      sum  = 0;
    for (size_t i = 0; i < count; ++i) {
        sum += std::exp(logits[i] - most);
    }
    offset = most + float(std::log(sum));
}

void log_softmax::top(size_t wanted, std::vector<token_choice> & into) const {
    into.clear();
    wanted = std::min(wanted, count);
    if (wanted == 0) {
        return;
    }
    const auto likelier = [](const token_choice & a, const token_choice & b) {
        return a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token);
    };
    for (size_t i = 0; i < count; ++i) {  // a heap of the best so far, the least likely in front
        const token_choice choice{ llama_token(i), logits[i] - offset };
        if (into.size() < wanted) {
            into.push_back(choice);
            std::push_heap(into.begin(), into.end(), likelier);
        } else if (choice.logprob > into.front().logprob) {
            std::pop_heap(into.begin(), into.end(), likelier);
            into.back() = choice;
            std::push_heap(into.begin(), into.end(), likelier);
        }
    }
    std::sort_heap(into.begin(), into.end(), likelier);
}

token_sampler::token_sampler(const llama_model * model, common_params_sampling parameters, std::vector<llama_token> never)
    : vocabulary(size_t(llama_vocab_n_tokens(llama_model_get_vocab(model)))), banned(std::move(never)) {
    if (parameters.seed == LLAMA_DEFAULT_SEED) {
        parameters.seed = std::random_device()() % LLAMA_DEFAULT_SEED;
    }
    seed_used        = parameters.seed;
    const bool plain = is_plain(parameters);
    if (plain) {
        banned = with_suppressed(std::move(banned), llama_model_get_vocab(model));
    }
    if (plain && parameters.temp <= 0.0f) {
        return;
    }
    if (plain && parameters.top_k > 0 && parameters.top_k <= top_count_limit) {
        top_count = size_t(parameters.top_k);
    }
    parameters.no_perf = true;
    for (const llama_token token : top_count > 0 ? std::vector<llama_token>() : banned) {
        parameters.logit_bias.push_back({ token, -std::numeric_limits<float>::infinity() });
    }
    const bool constrained = !parameters.grammar.empty();
    if (constrained) {
        check_grammar(llama_model_get_vocab(model), common_grammar_value(parameters.grammar));
    }
    try {
        chain.reset(common_sampler_init(model, parameters));
    } catch (const std::invalid_argument & error) {
        throw user_error("sampling.invalid", std::string("The sampler refused its settings: ") + error.what() + ".");
    } catch (const std::exception & error) {
        if (!constrained) {
            throw user_error("sampling.invalid", std::string("The sampler refused its settings: ") + error.what() + ".");
        }
        throw bad_grammar(error.what());
    }
}

void token_sampler::prime(const std::vector<llama_token> & prompt) {
    if (chain) {
        for (const llama_token token : prompt) {
            common_sampler_accept(chain.get(), token, false);
        }
    }
}

llama_token token_sampler::greedy(const float * logits) {
    const llama_token token = greedy_token(logits, vocabulary);
    if (banned.empty() || std::find(banned.begin(), banned.end(), token) == banned.end()) {
        return token;
    }
    top_logits(logits, vocabulary, 1, banned, candidates);
    return candidates.empty() ? LLAMA_TOKEN_NULL : candidates[0].id;
}

llama_token token_sampler::from_top(const float * logits) {
    top_logits(logits, vocabulary, top_count, banned, candidates);
    if (candidates.empty()) {
        return LLAMA_TOKEN_NULL;
    }
    llama_token_data_array choice{ candidates.data(), candidates.size(), -1, true };
    llama_sampler_apply(common_sampler_get(chain.get()), &choice);
    return choice.data[choice.selected].id;
}

llama_token token_sampler::sample(llama_context * context, int32_t index, const float * logits) {
    if (std::isnan(logits[0])) {  // a broken model or device; common_sampler would abort on it
        return LLAMA_TOKEN_NULL;
    }
    if (!chain) {
        return greedy(logits);
    }
    const llama_token token = top_count > 0 ? from_top(logits) : common_sampler_sample(chain.get(), context, index);
    if (token == LLAMA_TOKEN_NULL) {
        return token;
    }
    common_sampler_accept(chain.get(), token, true);
    return token;
}

}  // namespace moebius
