// Layout files: the order of experts, writing and finding the file, and what must never happen with it.
#include "check.h"
#include "experts/layout/background-thread.h"
#include "experts/layout/file-writer.h"
#include "experts/layout/layout-order.h"
#include "experts/policy/expert-order.h"
#include "made-trace.h"
#include "model/experts.h"
#include "model/inspect.h"
#include "decode-harness.h"

#include <filesystem>
#include <fstream>
#include <numeric>

#if defined(__linux__)
#    include <sys/resource.h>
#    include <sys/syscall.h>
#endif
#if !defined(_WIN32)
#    include <sys/wait.h>
#    include <unistd.h>
#endif

using namespace moebius;
using namespace moebius_test;

namespace {

std::vector<uint32_t> by_number(uint32_t experts) {
    std::vector<uint32_t> order(experts);
    std::iota(order.begin(), order.end(), 0u);
    return order;
}

// Over all orders.
uint64_t heaviest(const co_use_counts & counts) {
    std::vector<uint32_t> order = by_number(counts.size());
    uint64_t              most  = 0;
    do {
        most = std::max(most, neighbours_co_use(counts, order));
    } while (std::next_permutation(order.begin(), order.end()));
    return most;
}

void the_order_is_the_best_of_all_in_tiny_cases() {
    std::mt19937 random(2);
    for (int i = 0; i < 40; i++) {
        co_use_counts counts(7);
        for (int token = 0; token < 30; token++) {
            counts.add({ uint32_t(random() % 3), uint32_t(3 + random() % 2), uint32_t(5 + random() % 2) });
        }
        CHECK_EQUAL(neighbours_co_use(counts, expert_order(counts)), heaviest(counts));
    }
}

void without_co_use_the_order_is_that_of_the_numbers() {
    CHECK(expert_order(co_use_counts(9)) == by_number(9));
    CHECK_EQUAL(pieces_of({ 4, 2, 3, 8 }, by_number(9)), 2u);
    CHECK_EQUAL(pieces_of({}, by_number(9)), 0u);
}

expert_layout layout_of(uint32_t layers, uint32_t experts) {
    expert_layout layout;
    layout.experts = experts;
    for (uint32_t i = 0; i < layers; i++) {
        layout.layers.push_back({ int32_t(i), {}, {} });
    }
    return layout;
}

// Every token uses a group of experts that are spread over the numbers, now and then another one.
routing_trace grouped_trace(uint32_t layers, uint32_t experts, uint32_t used, uint32_t tokens) {
    routing_trace trace;
    trace.shape = made_shape(layers, experts, used);
    std::mt19937 random(9);
    for (uint32_t token = 0; token < tokens; token++) {
        std::vector<std::vector<uint16_t>> rows(layers);
        for (uint32_t layer = 0; layer < layers; layer++) {
            const uint32_t group = random() % (experts / used);
            for (uint32_t k = 0; k < used; k++) {
                rows[layer].push_back(uint16_t(k * (experts / used) + (random() % 5 == 0 ? random() % (experts / used) : group)));
            }
        }
        trace.records.push_back(made_record(trace.shape, 0, token, { rows }));
    }
    return trace;
}

void unseen_tokens_lie_in_fewer_pieces() {
    const layout_gain gain = layout_gain_of(layout_of(3, 64), grouped_trace(3, 64, 4, 2000));
    CHECK_EQUAL(gain.tokens, 1000u);
    CHECK_NEAR(gain.chosen, 4, 1e-9);
    CHECK(gain.pieces_by_index > 3.7);
    CHECK(gain.pieces < 0.7 * gain.pieces_by_index);
    CHECK_THROWS(layout_gain_of(layout_of(3, 32), grouped_trace(3, 64, 4, 10)), user_error, error.code == "request.invalid");
    CHECK_THROWS(layout_orders_from(layout_of(4, 64), grouped_trace(3, 64, 4, 10)), user_error, error.code == "request.invalid");
}

// A copy of the tiny model in a folder of its own.
struct model_copy {
    std::filesystem::path folder = std::filesystem::temp_directory_path() / "moebius-expert-layout-test";
    std::string           path   = (folder / "model.gguf").u8string();
    gguf_model            file;
    expert_layout         layout;

    model_copy() {
        std::filesystem::remove_all(folder);
        std::filesystem::create_directories(folder);
        std::filesystem::copy_file(MOEBIUS_TINY_MODEL, path);
        open();
    }
    ~model_copy() { std::filesystem::remove_all(folder); }

    void open() {
        file   = gguf_open(path);
        layout = expert_layout_from(file, inspect_model(file));
    }
    std::string sidecar() const { return layout_path_of(file); }
    std::string fingerprint() const { return layout_fingerprint(file, layout); }
    uint64_t    write(const layout_orders & orders) const {
        return layout_write(layout, fingerprint(), orders, sidecar(), layout_flush, [](uint64_t, uint64_t) { return true; });
    }
    size_t files() const { return size_t(std::distance(std::filesystem::directory_iterator(folder), {})); }
};

layout_orders shuffled(const expert_layout & layout) {
    layout_orders orders = layout_orders_by_index(layout);
    std::mt19937  random(4);
    for (auto & order : orders) {
        std::shuffle(order.begin(), order.end(), random);
    }
    return orders;
}

std::vector<char> bytes_at(const std::string & path, uint64_t offset, uint64_t bytes) {
    std::vector<char> data(bytes);
    std::ifstream     stream(path, std::ios::binary);
    stream.seekg(std::streamoff(offset));
    stream.read(data.data(), std::streamsize(bytes));
    CHECK(stream.good());
    return data;
}

void every_matrix_is_where_the_layout_says() {
    const model_copy model;
    const uint64_t   size   = model.write(shuffled(model.layout));
    CHECK_EQUAL(size, std::filesystem::file_size(model.sidecar()));
    const expert_layout packed = layout_apply(model.layout, model.sidecar(), model.fingerprint());
    uint32_t            wrong  = 0;
    for (size_t i = 0; i < packed.layers.size(); i++) {
        CHECK(packed.layers[i].is_packed());
        for (uint32_t e = 0; e < packed.experts; e++) {
            for (uint32_t p = 0; p < packed.layers[i].parts.size(); p++) {
                const expert_place there = expert_place_of(packed.layers[i], e, p), here = expert_place_of(model.layout.layers[i], e, p);
                const uint64_t     bytes = packed.layers[i].parts[p].bytes;
                wrong += there.offset % 4096 != 0 || bytes_at(packed.files[there.file], there.offset, bytes) != bytes_at(model.path, here.offset, bytes);
            }
        }
    }
    CHECK_EQUAL(wrong, 0u);
    CHECK_EQUAL(model.files(), 2u);
}

void a_layout_of_another_state_of_the_model_is_not_used() {
    model_copy model;
    model.write(layout_orders_by_index(model.layout));
    const json   json_options = { { "devices", json::array() } };
    const auto   found        = [&](const char * mode) {
        json choice            = json_options;
        choice["expertLayout"] = mode;
        const json   inspection = inspect_model(model.file);
        load_options options    = options_parse(&choice, inspection);
        find_layout(model.file, inspection, options);
        return !options.layout_fingerprint.empty();
    };
    CHECK(found("auto"));
    CHECK(!found("off"));
    const auto time = std::filesystem::last_write_time(model.path);
    std::filesystem::last_write_time(model.path, time + std::chrono::seconds(5));
    CHECK(!found("auto"));
    std::filesystem::last_write_time(model.path, time);
    CHECK(found("auto"));
    std::fstream stream(model.path, std::ios::binary | std::ios::in | std::ios::out);  // other weights, everything else as it was
    stream.seekp(std::streamoff(model.layout.layers[1].parts[2].offset));
    stream.write("moebius", 7);
    stream.close();
    std::filesystem::last_write_time(model.path, time);
    CHECK(!found("auto"));
}

void a_damaged_layout_is_not_used() {
    const model_copy  model;
    const std::string fingerprint = model.fingerprint();
    model.write(layout_orders_by_index(model.layout));
    const auto refused = [&](const char * code) {
        CHECK_THROWS(layout_apply(model.layout, model.sidecar(), fingerprint), user_error, error.code == code);
    };
    std::filesystem::resize_file(model.sidecar(), std::filesystem::file_size(model.sidecar()) - 1);
    refused("file.truncated");
    std::ofstream(model.sidecar(), std::ios::binary) << "no GGUF";
    refused("file.not-gguf");
    std::filesystem::copy_file(model.path, model.sidecar(), std::filesystem::copy_options::overwrite_existing);
    refused("file.version");
    layout_orders twice = layout_orders_by_index(model.layout);
    twice[1][0]         = twice[1][1];
    model.write(twice);
    refused("file.corrupt");
    expert_layout other = model.layout;
    other.layers.pop_back();
    layout_write(other, fingerprint, layout_orders_by_index(other), model.sidecar(), layout_flush, [](uint64_t, uint64_t) { return true; });
    refused("file.corrupt");
}

void what_is_stopped_or_killed_leaves_the_old_file_or_none() {
    const model_copy model;
    const auto       orders = layout_orders_by_index(model.layout);
    const auto       write  = [&](const std::function<bool(uint64_t, uint64_t)> & go_on) { return layout_write(model.layout, model.fingerprint(), orders, model.sidecar(), layout_flush_background, go_on); };
    CHECK_EQUAL(write([](uint64_t done, uint64_t total) { return done < total / 2; }), 0u);
    CHECK_EQUAL(model.files(), 1u);
#if !defined(_WIN32)
    const pid_t child = fork();
    if (child == 0) {
        write([](uint64_t done, uint64_t total) {
            if (done > total / 2) {
                _exit(9);
            }
            return true;
        });
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    CHECK(!std::filesystem::exists(model.sidecar()));
#endif
    CHECK(write([](uint64_t, uint64_t) { return true; }) > 0);
    CHECK_EQUAL(model.files(), 2u);
    CHECK_EQUAL(write([](uint64_t, uint64_t) { return false; }), 0u);
    CHECK(layout_apply(model.layout, model.sidecar(), model.fingerprint()).layers[0].is_packed());
}

void two_writers_and_full_disks_are_refused() {
    const model_copy  model;
    const std::string path = (model.folder / "some").u8string();
    {
        file_writer one(path, 10, 4);
        CHECK_THROWS(file_writer(path, 10, 4), user_error, error.code == "file.unwritable" && std::string(error.what()).find("another process") != std::string::npos);
        one.write("0123456789", 10);
        one.publish();
    }
    CHECK_EQUAL(std::filesystem::file_size(path), 10u);
    CHECK_THROWS(file_writer(path, uint64_t(1) << 60, 4), user_error,
                 error.code == "disk.full" && error.details["need"] == uint64_t(1) << 60 && error.details["have"].get<uint64_t>() > 0);
    CHECK_THROWS(file_writer((model.folder / "no" / "such").u8string(), 1, 4), user_error, error.code == "file.unwritable");
    CHECK_EQUAL(std::filesystem::file_size(path), 10u);
    CHECK_EQUAL(model.files(), 2u);
}

void background_work_gives_way_and_its_caller_does_not() {
#if defined(__linux__)
    const auto nice_now = [] { return getpriority(PRIO_PROCESS, id_t(syscall(SYS_gettid))); };
    const int  before   = nice_now();
    int        inside   = 0;
    run_in_background([&] { inside = nice_now(); });
    CHECK_EQUAL(inside, 19);
    CHECK_EQUAL(nice_now(), before);
#endif
    CHECK_THROWS(run_in_background([] { throw user_error("disk.full", "no room"); }), user_error, error.code == "disk.full");
}

}  // namespace

int main() {
    the_order_is_the_best_of_all_in_tiny_cases();
    without_co_use_the_order_is_that_of_the_numbers();
    unseen_tokens_lie_in_fewer_pieces();
    what_is_stopped_or_killed_leaves_the_old_file_or_none();
    background_work_gives_way_and_its_caller_does_not();
    start_llama();
    every_matrix_is_where_the_layout_says();
    a_layout_of_another_state_of_the_model_is_not_used();
    a_damaged_layout_is_not_used();
    two_writers_and_full_disks_are_refused();
    return check_result();
}
