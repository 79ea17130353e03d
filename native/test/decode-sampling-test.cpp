// Sampling settings, constraints, logprobs, and the strict reading of requests.
#include "check.h"
#include "decode-harness.h"

using namespace moebius_test;

namespace {

json request(json sampling, int count = 24) {
    return { { "prompt", "In the beginning God created" }, { "maxTokens", count }, { "sampling", std::move(sampling) } };
}

void check_seeds(tiny_engine & tiny) {
    const auto text = [&](int seed) { return tiny.ask(request({ { "seed", seed }, { "temperature", 1.2 } })); };
    const reply_seen one = text(1), same = text(1), other = text(2);
    CHECK(one.ids() == same.ids());
    CHECK(one.ids() != other.ids());
    CHECK_EQUAL(one.result["seed"].get<uint32_t>(), 1u);
    // a random seed is told, and gives the same again
    const reply_seen random = tiny.ask(request({ { "temperature", 1.2 } }));
    const uint32_t   seed   = random.result["seed"].get<uint32_t>();
    CHECK(tiny.ask(request({ { "seed", seed }, { "temperature", 1.2 } })).ids() == random.ids());
}

void check_settings(tiny_engine & tiny) {
    const std::vector<int32_t> plain = tiny.ask(request(greedy())).ids();
    CHECK(tiny.ask(request({ { "topK", 1 } })).ids() == plain);
    CHECK(tiny.ask(request({ { "temperature", 0 }, { "repeatPenalty", 1.8 } })).ids() != plain);
    CHECK(tiny.ask(request({ { "temperature", 0 }, { "repeatPenalty", 1.8 }, { "repeatLastN", 0 } })).ids() == plain);
    for (const json & settings : { json{ { "mirostat", 1 } }, json{ { "mirostat", 2 } }, json{ { "typicalP", 0.5 } },
                                   json{ { "minP", 0.3 } }, json{ { "dryMultiplier", 0.8 }, { "dryPenaltyLastN", -1 }, { "repeatLastN", -1 }, { "presencePenalty", 1 } } }) {
        json whole                     = request(settings);
        whole["ignoreEndOfGeneration"] = true;  // sampled replies end where they like
        CHECK_EQUAL(tiny.ask(whole).tokens.size(), 24u);
    }
    const json       bias  = { { { "token", plain[0] }, { "bias", -1e9 } } };
    const reply_seen never = tiny.ask(request({ { "temperature", 0 }, { "logitBias", bias } }));
    CHECK(never.ids()[0] != plain[0]);
    CHECK_EQUAL(tiny.ask(request({ { "repeatPenalty", 0 } })).error_code(), "sampling.invalid");
    CHECK_EQUAL(tiny.ask(request({ { "logitBias", { { { "token", 999999 }, { "bias", 1 } } } } })).error_code(), "sampling.invalid");
}

// llama.cpp's own loop: common_sampler over the whole vocabulary
std::vector<int32_t> run_common_sampler(const llama_model * model, std::vector<llama_token> prompt, common_params_sampling settings, size_t count) {
    llama_context_ptr    context(llama_init_from_model(const_cast<llama_model *>(model), moebius::decode_context_parameters(model, tiny_options())));
    common_sampler_ptr   sampler(common_sampler_init(model, settings));
    std::vector<int32_t> tokens;
    llama_token          next  = 0;
    llama_batch          batch = llama_batch_get_one(prompt.data(), int32_t(prompt.size()));
    for (const llama_token token : prompt) {
        common_sampler_accept(sampler.get(), token, false);
    }
    while (tokens.size() < count && llama_decode(context.get(), batch) == 0) {
        next = common_sampler_sample(sampler.get(), context.get(), -1);
        common_sampler_accept(sampler.get(), next, true);
        tokens.push_back(next);
        batch = llama_batch_get_one(&next, 1);
    }
    return tokens;
}

void check_same_as_llama(tiny_engine & tiny) {
    const auto prompt = common_tokenize(tiny.vocab(), "In the beginning God created", true, true);
    const auto same   = [&](json sampling, common_params_sampling settings) {
        sampling["seed"] = settings.seed;
        json ask         = request(sampling, 40);
        ask["cachePrompt"] = false;
        const std::vector<int32_t> ours = tiny.ask(ask).ids();
        const std::vector<int32_t> theirs = run_common_sampler(tiny.model.get(), prompt, settings, ours.size());
        CHECK(ours == theirs);
    };
    for (uint32_t seed = 1; seed < 6; ++seed) {
        common_params_sampling settings;
        settings.seed = seed;
        same(json::object(), settings);  // llama.cpp's defaults: top-k first
        settings.top_k = 5;
        settings.temp  = 1.5f;
        same({ { "topK", 5 }, { "temperature", 1.5 } }, settings);
        settings.top_k = 0;
        settings.typ_p = 0.7f;
        same({ { "topK", 0 }, { "temperature", 1.5 }, { "typicalP", 0.7 } }, settings);
        settings.penalty_repeat = 1.3f;
        settings.top_k          = 40;
        same({ { "topK", 40 }, { "temperature", 1.5 }, { "typicalP", 0.7 }, { "repeatPenalty", 1.3 } }, settings);
    }
}

void check_logprobs(tiny_engine & tiny) {
    json ask        = request(greedy());
    ask["logprobs"] = 5;
    const reply_seen reply = tiny.ask(ask);
    for (const token_seen & token : reply.tokens) {
        CHECK_EQUAL(token.top.size(), 5u);
        CHECK_EQUAL(token.top[0].first, token.id);  // greedy
        CHECK_EQUAL(token.top[0].second, token.logprob);
        CHECK(token.logprob < 0 && token.top[1].second <= token.top[0].second);
    }
    // log-softmax of the raw logits, whatever the sampler does
    const auto       tokens = common_tokenize(tiny.vocab(), "In the beginning God created", true, true);
    const reply_seen logits = tiny.logits({ { "tokens", tokens } });
    double           sum    = 0;
    for (const float logit : logits.logits) {
        sum += std::exp(double(logit));
    }
    ask["sampling"] = { { "temperature", 0.1 }, { "topK", 1 } };
    ask["cachePrompt"] = false;
    const reply_seen cold = tiny.ask(ask);
    CHECK_NEAR(cold.tokens[0].logprob, double(logits.logits[size_t(cold.tokens[0].id)]) - std::log(sum), 1e-4);
    CHECK(std::isnan(tiny.ask(request(greedy())).tokens[0].logprob));
}

void check_constraints(tiny_engine & tiny) {
    const reply_seen yes = tiny.ask(request({ { "temperature", 0 }, { "grammar", "root ::= (\"yes\" | \"no\") \"!\"" } }));
    CHECK(yes.text() == "yes!" || yes.text() == "no!");
    CHECK_EQUAL(yes.result["finishReason"].get<std::string>(), "stop");
    const json schema = { { "type", "object" },
                          { "properties", { { "name", { { "type", "string" }, { "maxLength", 8 } } }, { "age", { { "type", "integer" } } } } },
                          { "required", { "name", "age" } },
                          { "additionalProperties", false } };
    const reply_seen object = tiny.ask(request({ { "temperature", 0 }, { "jsonSchema", schema } }, 200));
    if (object.result["finishReason"] == "stop") {
        const json value = json::parse(object.text());
        CHECK(value["name"].is_string() && value["age"].is_number_integer());
    } else {  // the little model may go on with digits until it is cut
        CHECK_EQUAL(object.text().rfind("{", 0), 0u);
    }
    const auto code = [&](const json & sampling) { return tiny.ask(request(sampling)).error_code(); };
    CHECK_EQUAL(code({ { "grammar", "root ::= missing" } }), "grammar.invalid");
    CHECK_EQUAL(code({ { "grammar", "root ::= root \"a\"" } }), "grammar.invalid");
    CHECK_EQUAL(code({ { "grammar", "%llguidance {}" } }), "grammar.invalid");
    CHECK_EQUAL(code({ { "grammar", "root ::= " + std::string(5000, '(') + "\"a\"" + std::string(5000, ')') } }), "grammar.invalid");
    CHECK_EQUAL(code({ { "grammar", std::string(300000, ' ') } }), "grammar.invalid");
    json deep = { { "type", "string" } };
    for (int i = 0; i < 300; ++i) {
        deep = { { "type", "array" }, { "items", deep } };
    }
    CHECK_EQUAL(code({ { "jsonSchema", deep } }), "grammar.invalid");
    CHECK_EQUAL(code({ { "jsonSchema", { { "$ref", "#/nowhere" } } } }), "grammar.invalid");
}

void check_strictness(tiny_engine & tiny) {
    const auto refuses = [&](json more) {
        json parameters = { { "generation", 1000 }, { "model", 1 }, { "prompt", "x" } };
        parameters.update(more);
        CHECK_THROWS(tiny.engine->generate(1000, parameters), moebius::user_error, error.code == "request.invalid");
    };
    refuses({ { "maxToken", 3 } });
    refuses({ { "sampling", { { "temprature", 1 } } } });
    refuses({ { "sampling", { { "temperature", 11 } } } });
    refuses({ { "sampling", { { "grammar", "root ::= \"a\"" }, { "jsonSchema", { { "type", "string" } } } } } });
    refuses({ { "tokens", { 1 } } });
    refuses({ { "stop", { "" } } });
    refuses({ { "overflow", "wrap" } });
    refuses({ { "logprobs", 65 } });
    refuses({ { "generation", 0 } });
    CHECK_EQUAL(tiny.ask({ { "tokens", { 5, 4096 } } }).error_code(), "request.invalid");
    CHECK_THROWS(tiny.engine->logits(1, { { "generation", 1 }, { "model", 1 }, { "tokens", { -1 } } }), moebius::user_error, error.code == "request.invalid");
    CHECK_EQUAL(tiny.engine->running(), 0);
}

}  // namespace

int main() {
    start_llama();
    tiny_engine tiny;
    check_seeds(tiny);
    check_settings(tiny);
    check_same_as_llama(tiny);
    check_logprobs(tiny);
    check_constraints(tiny);
    check_strictness(tiny);
    return check_result();
}
