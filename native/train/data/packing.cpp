#include "packing.h"

#include "epoch-order.h"
#include "rpc/json-text.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr uint64_t look_ahead_most = 65536;

[[noreturn]] void refuse_cursor(const std::string & what) {
    throw user_error("request.invalid", "The place in the data is of another dataset or other settings: " + what + ". Start the epoch anew, or use the dataset and the settings of the run.");
}

uint64_t cursor_number(const json & value) {
    if (!value.is_number_unsigned()) {
        throw user_error("file.corrupt", "The place in the data is damaged: it has " + json_text(value) + " where a number is.");
    }
    return value.get<uint64_t>();
}

}  // namespace

packing_source packing_source_of(dataset_file & data) {
    return { data.examples(), data.longest(), [&data](uint64_t i) { return data.entry(i).all_tokens(); } };
}

json packing_cursor::to_json() const { return { { "epoch", epoch }, { "next", next }, { "waiting", waiting } }; }

packing_cursor packing_cursor::from_json(const json & value) {
    if (!value.is_object() || !value.contains("epoch") || !value.contains("next") || !value.contains("waiting") || !value["waiting"].is_array()) {
        throw user_error("file.corrupt", "The place in the data is damaged: it lacks epoch, next or waiting.");
    }
    packing_cursor cursor{ cursor_number(value["epoch"]), cursor_number(value["next"]), {} };
    for (const json & position : value["waiting"]) {
        cursor.waiting.push_back(cursor_number(position));
    }
    return cursor;
}

packing::packing(const packing_settings & settings, packing_source of) : settings(settings), source(std::move(of)) {
    if (source.examples == 0) {
        throw user_error("request.invalid", "There are no examples to make batches of.");
    }
    if (source.longest > settings.batch_tokens) {
        throw user_error("request.invalid",
                         "The longest example has " + std::to_string(source.longest) + " tokens (of a pair both replies), and a batch has " + std::to_string(settings.batch_tokens) +
                             ": make batches larger (batchTokens), or encode the dataset with fewer tokens an example (data.maxTokens of a job, --max-tokens of moebius dataset).",
                         { { "longest", source.longest }, { "batchTokens", settings.batch_tokens } });
    }
    if (settings.look_ahead < 1 || settings.look_ahead > look_ahead_most) {
        throw user_error("request.invalid", "A look-ahead of " + std::to_string(settings.look_ahead) + " examples: it has to be 1 to " + std::to_string(look_ahead_most) + ".",
                         { { "lookAhead", settings.look_ahead } });
    }
}

packing::waiting_example packing::look_at(uint64_t at) const {
    const uint64_t example = settings.is_shuffled ? epoch_order(settings.seed, epoch, source.examples).example_at(at) : at;
    return { at, example, source.tokens_of(example) };
}

void packing::look_ahead() {
    while (waiting.size() < settings.look_ahead && position < source.examples) {
        waiting.push_back(look_at(position));
        position++;
    }
}

void packing::end_epoch_if_done() {
    if (waiting.empty() && position == source.examples) {
        epoch++;
        position = 0;
    }
}

std::vector<packing::waiting_example>::iterator packing::best_fit(uint64_t room) {
    auto best = waiting.end();
    for (auto each = waiting.begin(); each != waiting.end(); ++each) {
        if (each->tokens <= room && (best == waiting.end() || each->tokens > best->tokens)) {
            best = each;
        }
    }
    return best;
}

std::vector<uint64_t> packing::next() {
    std::vector<uint64_t> examples;
    uint64_t              room = settings.batch_tokens;
    for (;;) {
        look_ahead();
        const auto best = examples.empty() ? waiting.begin() : best_fit(room);
        if (best == waiting.end()) {
            break;
        }
        room -= best->tokens;
        examples.push_back(best->example);
        waiting.erase(best);
    }
    end_epoch_if_done();
    return examples;
}

packing_cursor packing::cursor() const {
    packing_cursor cursor{ epoch, position, {} };
    for (const waiting_example & each : waiting) {
        cursor.waiting.push_back(each.position);
    }
    return cursor;
}

void packing::restore(const packing_cursor & cursor) {
    if (cursor.next > source.examples || cursor.waiting.size() > settings.look_ahead || (cursor.next == source.examples && cursor.waiting.empty())) {
        refuse_cursor("it is at " + std::to_string(cursor.next) + " of " + std::to_string(source.examples) + " examples, " + std::to_string(cursor.waiting.size()) + " of them waiting");
    }
    for (size_t i = 0; i < cursor.waiting.size(); i++) {
        if (cursor.waiting[i] >= cursor.next || (i > 0 && cursor.waiting[i] <= cursor.waiting[i - 1])) {
            refuse_cursor("example " + std::to_string(cursor.waiting[i]) + " cannot be waiting");
        }
    }
    epoch    = cursor.epoch;
    position = cursor.next;
    waiting.clear();
    for (const uint64_t each : cursor.waiting) {
        waiting.push_back(look_at(each));
    }
}

}  // namespace moebius
