#include "checkpoint.h"

#include "experts/layout/file-writer.h"
#include "rpc/errors.h"
#include "train/base/running-checksum.h"

#include <cstring>
#include <filesystem>
#include <fstream>

namespace moebius {

namespace {

// "MOEBTRN2", u64 bytes of the header, u64 bytes of the numbers, header (JSON), numbers, u64 checksum of all before it. Little-endian.
constexpr char     magic[]     = { 'M', 'O', 'E', 'B', 'T', 'R', 'N', '2' };
constexpr uint64_t header_most = 256 << 20;
constexpr uint64_t flush_bytes = 64 << 20;

// Every block of numbers of a state, in order: a writer asks for their bytes, a reader fills them.
template <typename State, typename Visit> void each_block(State & state, Visit && visit) {
    for (auto & parameter : state.parameters) {
        visit(parameter.values);
    }
    for (auto & layer : state.stand_ins) {
        visit(layer);
    }
    for (auto & parameter : state.optimiser.parameters) {
        for (auto * moment : { &parameter.first, &parameter.second }) {
            visit(moment->values);
            visit(moment->codes);
            visit(moment->scales);
        }
    }
}

json sizes_of(const moment_state & moment) {
    return { moment.values.size(), moment.codes.size(), moment.scales.size() };
}

// Null: all.
json header_of(const expert_choice & choice) {
    return choice.experts.empty() ? json() : json{ { "experts", choice.experts }, { "affinities", choice.affinities }, { "sampledTokens", choice.sampled_tokens } };
}

expert_choice choice_of(const json & from) {
    if (from.is_null()) {
        return {};
    }
    expert_choice choice{ from.at("experts").get<std::vector<std::vector<int32_t>>>(), from.at("affinities").get<std::vector<std::vector<double>>>(), from.at("sampledTokens").get<int64_t>() };
    const auto    same = [](const std::vector<int32_t> & experts, const std::vector<double> & affinities) { return experts.size() == affinities.size(); };
    if (!choice.affinities.empty() && !std::equal(choice.experts.begin(), choice.experts.end(), choice.affinities.begin(), choice.affinities.end(), same)) {
        throw std::out_of_range("affinities of other experts than the chosen ones");
    }
    return choice;
}

json header_of(const checkpoint & what) {
    const run_state & state      = what.state;
    json              parameters = json::array(), moments = json::array(), averages = json::array();
    for (const train_parameter & parameter : state.parameters) {
        parameters.push_back({ { "name", parameter.name }, { "shape", { parameter.n0, parameter.n1, parameter.n2 } } });
    }
    for (const std::vector<float> & layer : state.stand_ins) {
        averages.push_back(layer.size());
    }
    for (const parameter_state & parameter : state.optimiser.parameters) {
        moments.push_back({ { "name", parameter.name }, { "first", sizes_of(parameter.first) }, { "second", sizes_of(parameter.second) } });
    }
    return { { "settings", what.settings },
             { "origin", origin_to_json(state.origin) },
             { "step", state.step },
             { "cursor", state.cursor.to_json() },
             { "chosenExperts", header_of(state.chosen) },
             { "guardian", { { "losses", state.guardian.losses }, { "good", state.guardian.good }, { "spikes", state.guardian.spikes }, { "bad", state.guardian.bad }, { "rolledBack", state.guardian.has_rolled_back }, { "still", state.guardian.still } } },
             { "optimiser", { { "kind", optimiser_name(state.optimiser.kind) }, { "steps", state.optimiser.steps }, { "moments", std::move(moments) } } },
             { "parameters", std::move(parameters) },
             { "standIns", std::move(averages) } };
}

class reader {
  public:
    explicit reader(const std::string & name) : path(name), file(std::filesystem::u8path(name), std::ios::binary) {
        std::error_code error;
        size = std::filesystem::file_size(std::filesystem::u8path(name), error);
        if (error) {
            throw user_error("file.not-found", name + " is not there.", { { "path", name } });
        }
    }

    void take(void * into, uint64_t bytes) {
        if (!file.read(static_cast<char *>(into), std::streamsize(bytes))) {
            throw user_error("file.unreadable", path + " cannot be read.", { { "path", path } });
        }
        checksum.add(into, bytes);
    }

    [[noreturn]] void corrupt(const std::string & what) const { throw user_error("file.corrupt", path + " is no sound checkpoint: " + what + ". Resume from another one.", { { "path", path } }); }

    std::string      path;
    std::ifstream    file;
    uint64_t         size = 0;
    running_checksum checksum;
};

// Checks sizes before anything is allocated for them.
void make_room(moment_state & moment, const json & sizes, uint64_t & left) {
    const auto take = [&](auto & block, const json & count) {
        const uint64_t bytes = count.get<uint64_t>() <= left ? count.get<uint64_t>() * sizeof(block[0]) : left + 1;
        if (bytes > left) {
            throw std::out_of_range("more numbers than the file has");
        }
        left -= bytes;
        block.resize(count.get<size_t>());
    };
    take(moment.values, sizes.at(0));
    take(moment.codes, sizes.at(1));
    take(moment.scales, sizes.at(2));
}

optimiser_kind kind_named(const std::string & name) {
    for (const optimiser_kind kind : { optimiser_kind::sgd, optimiser_kind::adamw, optimiser_kind::adamw_8bit }) {
        if (name == optimiser_name(kind)) {
            return kind;
        }
    }
    throw std::out_of_range("an optimiser " + name);
}

// What json throws of a wrong type or a missing key is told as corruption by the caller.
run_state state_of(const json & header, uint64_t left) {
    run_state state;
    state.origin   = origin_from_json(header.at("origin"));
    state.step     = header.at("step").get<int64_t>();
    state.cursor   = packing_cursor::from_json(header.at("cursor"));
    state.chosen   = choice_of(header.at("chosenExperts"));
    const json & g = header.at("guardian");
    state.guardian = { g.at("losses").get<std::vector<double>>(), g.at("good").get<int64_t>(), g.at("spikes").get<int64_t>(), g.at("bad").get<int64_t>(), g.at("rolledBack").get<bool>(), g.at("still").get<int64_t>() };
    for (const json & each : header.at("parameters")) {
        const json &    shape = each.at("shape");
        train_parameter parameter{ each.at("name").get<std::string>(), shape.at(0).get<int64_t>(), shape.at(1).get<int64_t>(), shape.at(2).get<int64_t>(), {}, {} };
        uint64_t        count = 1;
        for (const int64_t n : { parameter.n0, parameter.n1, parameter.n2 }) {
            if (n <= 0 || uint64_t(n) > left / sizeof(float) / count) {
                throw std::out_of_range("more numbers than the file has");
            }
            count *= uint64_t(n);
        }
        left -= count * sizeof(float);
        parameter.values.resize(count);
        state.parameters.push_back(std::move(parameter));
    }
    for (const json & each : header.at("standIns")) {
        const uint64_t count = each.get<uint64_t>();
        if (count > left / sizeof(float)) {
            throw std::out_of_range("more numbers than the file has");
        }
        left -= count * sizeof(float);
        state.stand_ins.emplace_back(size_t(count));
    }
    const json & optimiser = header.at("optimiser");
    state.optimiser.kind   = kind_named(optimiser.at("kind").get<std::string>());
    state.optimiser.steps  = optimiser.at("steps").get<int64_t>();
    for (const json & each : optimiser.at("moments")) {
        parameter_state parameter{ each.at("name").get<std::string>(), {}, {} };
        make_room(parameter.first, each.at("first"), left);
        make_room(parameter.second, each.at("second"), left);
        state.optimiser.parameters.push_back(std::move(parameter));
    }
    if (left != 0) {
        throw std::out_of_range("fewer numbers than the file has");
    }
    return state;
}

}  // namespace

void checkpoint_write(const checkpoint & what, const std::string & path) {
    const std::string header = header_of(what).dump();
    uint64_t          sizes[2] = { header.size(), 0 };
    each_block(what.state, [&](const auto & block) { sizes[1] += block.size() * sizeof(block[0]); });
    file_writer      out(path, sizeof(magic) + sizeof(sizes) + sizes[0] + sizes[1] + sizeof(uint64_t), flush_bytes);
    running_checksum checksum;
    const auto       put = [&](const void * data, uint64_t bytes) {
        if (bytes > 0) {
            out.write(data, bytes);
            checksum.add(data, bytes);
        }
    };
    put(magic, sizeof(magic));
    put(sizes, sizeof(sizes));
    put(header.data(), header.size());
    each_block(what.state, [&](const auto & block) { put(block.data(), block.size() * sizeof(block[0])); });
    const uint64_t sum = checksum.value();
    out.write(&sum, sizeof(sum));
    out.publish();
}

checkpoint checkpoint_read(const std::string & path) {
    reader   in(path);
    char     found[sizeof(magic)];
    uint64_t sizes[2];
    if (in.size < sizeof(found) + sizeof(sizes) + sizeof(uint64_t)) {
        throw user_error("file.truncated", path + " ends before its beginning does: it has " + std::to_string(in.size) + " bytes.", { { "path", path } });
    }
    in.take(found, sizeof(found));
    if (std::memcmp(found, magic, sizeof(magic)) != 0) {
        throw user_error("file.version", path + " is no checkpoint of a training run, or one of another version of this application.", { { "path", path } });
    }
    in.take(sizes, sizeof(sizes));
    const uint64_t left = in.size - sizeof(found) - sizeof(sizes) - sizeof(uint64_t);
    if (sizes[0] > header_most || sizes[0] > left || sizes[1] != left - sizes[0]) {
        throw user_error("file.truncated", path + " has " + std::to_string(in.size) + " bytes, and its beginning promises others.", { { "path", path } });
    }
    std::string header(size_t(sizes[0]), ' ');
    in.take(header.data(), sizes[0]);
    checkpoint made;
    try {
        json parsed   = json::parse(header);
        made.state    = state_of(parsed, sizes[1]);
        made.settings = parsed.at("settings");
    } catch (const user_error &) {
        in.corrupt("its data cursor is none");
    } catch (const std::exception & error) {
        in.corrupt(error.what());
    }
    each_block(made.state, [&](auto & block) {
        if (!block.empty()) {
            in.take(block.data(), block.size() * sizeof(block[0]));
        }
    });
    const uint64_t expected = in.checksum.value();
    uint64_t       sum      = 0;
    in.take(&sum, sizeof(sum));
    if (sum != expected) {
        in.corrupt("its checksum is another one");
    }
    return made;
}

}  // namespace moebius
