// For tests of decode/ and router/: the tiny model with a decoder, and an output that remembers.
#pragma once

#include "decode/decoder.h"
#include "model/backends.h"
#include "model/gguf-file.h"
#include "model/inspect.h"
#include "model/llama-log.h"
#include "rpc/output.h"

#include <llama-cpp.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace moebius_test {

using moebius::json;

// Little-endian reader of a frame.
class frame_reader {
  public:
    explicit frame_reader(const std::vector<uint8_t> & bytes, size_t at = 0) : bytes(bytes), at(at) {}
    template <typename T> T take() {
        T value;
        std::memcpy(&value, bytes.data() + at, sizeof(T));
        at += sizeof(T);
        return value;
    }
    std::string text(size_t size) {
        std::string value(bytes.begin() + ptrdiff_t(at), bytes.begin() + ptrdiff_t(at + size));
        at += size;
        return value;
    }
    bool at_end() const { return at == bytes.size(); }

  private:
    const std::vector<uint8_t> & bytes;
    size_t                       at;
};

struct token_seen {
    int32_t                                id;
    float                                  logprob;
    bool                                   end;
    std::string                            text;
    std::vector<std::pair<int32_t, float>> top;
};

struct cell_seen {
    uint64_t count  = 0;
    double   weight = 0;
};

// All that came back for one request.
struct reply_seen {
    json                                          result;  // null if it failed
    json                                          error;   // null if it did not
    std::vector<token_seen>                       tokens;
    std::map<uint32_t, cell_seen>                 cells;
    uint64_t                                      routed_tokens = 0;
    int                                           routing_frames = 0;
    std::vector<int32_t>                          route_tokens;
    std::vector<uint32_t>                         route_positions;
    std::vector<uint16_t>                         route_experts;  // [token][row][k]
    std::vector<float>                            route_weights;
    std::vector<float>                            logits;
    std::vector<json>                             progress;

    std::string text() const {
        std::string all;
        for (const token_seen & token : tokens) {
            all += token.text;
        }
        return all;
    }
    std::vector<int32_t> ids() const {
        std::vector<int32_t> all;
        for (const token_seen & token : tokens) {
            all.push_back(token.id);
        }
        return all;
    }
    std::string error_code() const { return error.is_null() ? "" : error["data"]["code"].get<std::string>(); }
};

class recorder : public moebius::output {
  public:
    void send_message(const json & message) override {
        const std::lock_guard<std::mutex> lock(mutex);
        if (message.contains("method")) {
            progress.push_back(message["params"]);
        } else {
            reply_seen & reply = replies[message["id"].get<int>()];
            reply.result       = message.value("result", json());
            reply.error        = message.value("error", json());
            done[message["id"].get<int>()] = true;
        }
        changed.notify_all();
    }

    // the tests use one number as request id and as generation
    void send_frame(std::vector<uint8_t> && frame) override {
        const std::lock_guard<std::mutex> lock(mutex);
        frame_reader                      in(frame);
        in.take<uint8_t>();
        const auto kind = in.take<uint8_t>();
        in.take<uint16_t>();
        reply_seen & reply = replies[int(in.take<uint32_t>())];
        if (kind == 1) {
            read_tokens(in, reply);
        } else if (kind == 2) {
            read_routing(in, reply);
        } else if (kind == 3) {
            read_routes(in, reply);
        } else {
            const uint32_t rows = in.take<uint32_t>(), columns = in.take<uint32_t>();
            for (uint64_t i = 0; i < uint64_t(rows) * columns; ++i) {
                reply.logits.push_back(in.take<float>());
            }
        }
        whole_frames = whole_frames && in.at_end();
        changed.notify_all();
    }

    // the finished reply to a request
    reply_seen wait(int id) {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return done[id]; });
        return replies[id];
    }

    void wait_for_tokens(int id, size_t count) {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return replies[id].tokens.size() >= count || done[id]; });
    }

    bool              whole_frames = true;  // every frame had exactly the bytes that it declared
    std::vector<json> progress;

  private:
    static void read_tokens(frame_reader & in, reply_seen & reply) {
        for (uint32_t n = in.take<uint32_t>(); n > 0; --n) {
            token_seen token{};
            token.id          = in.take<int32_t>();
            token.logprob     = in.take<float>();
            token.end         = in.take<uint8_t>() & 1;
            const auto top    = in.take<uint8_t>();
            const auto length = in.take<uint16_t>();
            token.text        = in.text(length);
            for (int i = 0; i < top; ++i) {
                const auto id      = in.take<int32_t>();
                const auto logprob = in.take<float>();
                in.text(in.take<uint16_t>());
                token.top.emplace_back(id, logprob);
            }
            reply.tokens.push_back(token);
        }
    }
    static void read_routing(frame_reader & in, reply_seen & reply) {
        in.take<uint16_t>();
        in.take<uint16_t>();
        reply.routed_tokens += in.take<uint32_t>();
        ++reply.routing_frames;
        for (uint32_t n = in.take<uint32_t>(); n > 0; --n) {
            cell_seen & cell = reply.cells[in.take<uint32_t>()];
            cell.count  += in.take<uint32_t>();
            cell.weight += in.take<float>();
        }
    }
    static void read_routes(frame_reader & in, reply_seen & reply) {
        const auto first = in.take<uint32_t>(), count = in.take<uint32_t>();
        const auto layers = in.take<uint16_t>(), used = in.take<uint16_t>();
        for (uint32_t i = 0; i < count; ++i) {
            reply.route_tokens.push_back(in.take<int32_t>());
            reply.route_positions.push_back(first + i);
        }
        const uint64_t cells = uint64_t(count) * layers * used;
        for (uint64_t i = 0; i < cells; ++i) {
            reply.route_experts.push_back(in.take<uint16_t>());
        }
        for (uint64_t i = 0; i < cells; ++i) {
            reply.route_weights.push_back(ggml_fp16_to_fp32(in.take<uint16_t>()));
        }
    }

    std::mutex                mutex;
    std::condition_variable   changed;
    std::map<int, reply_seen> replies;
    std::map<int, bool>       done;
};

inline void start_llama() {
    moebius::llama_log_install();
    moebius::backends_load();
}

inline llama_model_ptr load_tiny(const std::string & path = MOEBIUS_TINY_MODEL) {
    llama_model_params parameters = llama_model_default_params();
    parameters.n_gpu_layers       = 0;
    return llama_model_ptr(llama_model_load_from_file(path.c_str(), parameters));
}

inline json inspect_tiny() {
    return moebius::inspect_model(moebius::gguf_open(MOEBIUS_TINY_MODEL));
}

inline moebius::load_options tiny_options() {
    moebius::load_options options;
    options.context_length = 512;
    options.sequences      = 4;
    options.batch          = 256;
    options.threads        = 1;  // spinning threads make tests crawl on a machine that does other work too
    options.threads_batch  = 1;
    return options;
}

// The tiny model with a decoder; `ask` sends a generate request and waits for its end.
struct tiny_engine {
    explicit tiny_engine(const moebius::load_options & options = tiny_options(), const std::string & path = MOEBIUS_TINY_MODEL)
        : model(load_tiny(path)), texts(model.get()), engine(std::make_unique<moebius::decoder>(model.get(), texts, options, inspect_tiny(), out)) {}

    int send(json parameters) {
        const int id             = ++last;
        parameters["generation"] = id;
        parameters["model"]      = 1;
        engine->generate(id, parameters);
        return id;
    }
    reply_seen ask(json parameters) { return out.wait(send(std::move(parameters))); }
    reply_seen logits(json parameters) {
        const int id             = ++last;
        parameters["generation"] = id;
        parameters["model"]      = 1;
        engine->logits(id, parameters);
        return out.wait(id);
    }
    const llama_vocab * vocab() const { return llama_model_get_vocab(model.get()); }

    recorder                          out;
    llama_model_ptr                   model;
    moebius::model_texts              texts;
    std::unique_ptr<moebius::decoder> engine;
    int                               last = 0;
};

inline json greedy() {
    return { { "temperature", 0 } };
}

}  // namespace moebius_test
