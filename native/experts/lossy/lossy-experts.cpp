#include "lossy-experts.h"

#include "experts/layout/background-thread.h"
#include "experts/store/low-precision.h"
#include "rpc/log.h"

namespace moebius {

lossy_experts::lossy_experts(expert_storage & full) : full(full), total(full.settings().ram_bytes), counted(full.layout().layers.size()), log(full.layout().layers.size()) {}

lossy_experts::~lossy_experts() {
    stop_writing();
}

// --- any thread

void lossy_experts::set(const lossy_settings & wanted, const std::optional<low_precision_file> & file) {
    const std::lock_guard<std::mutex> one_at_a_time(configuring);
    if (!wanted.skip_above.empty() && wanted.skip_above.size() != full.layout().layers.size()) {
        throw user_error("request.invalid",
                         "lossyExperts: skip names thresholds of " + std::to_string(wanted.skip_above.size()) + " layers, and the model has " +
                             std::to_string(full.layout().layers.size()) + " with experts. Give one for each.",
                         { { "parameter", "lossyExperts" } });
    }
    if (wanted.low) {
        copies_bytes(*wanted.low, file->layout, total);  // whether there is room
    }
    stop_writing();
    const bool shares_change = wanted.low && current.low && wanted.low->ram_share != current.low->ram_share;
    {
        const std::lock_guard<std::mutex> between_batches(full.session);
        const std::lock_guard<std::mutex> lock(mutex);
        current   = wanted;
        is_active = !wanted.off();
    }
    const bool same = wanted.low && in_use && in_use->file.path == file->path && in_use->file.fingerprint == file->fingerprint;
    if (!same) {
        drop_copies();
    }
    if (shares_change && same) {
        share_ram();
    }
    if (wanted.low && !same) {
        begin_copies(*file);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    path = file ? file->path : "";
}

void lossy_experts::resize(uint64_t ram_bytes) {
    const std::lock_guard<std::mutex> one_at_a_time(configuring);
    if (current.low) {
        const auto low = low_precision_layout(full.layout(), low_precision_type(current.low->type));
        copies_bytes(*current.low, low, ram_bytes);
    }
    {
        const std::lock_guard<std::mutex> lock(sharing);
        total = ram_bytes;
    }
    share_ram();
}

uint64_t lossy_experts::slot_bytes() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return full.slot_bytes() + (in_use ? in_use->store.slot_bytes() : 0);
}

uint64_t lossy_experts::least_bytes() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return full.least_bytes() + (in_use ? in_use->store.least_bytes() : 0);
}

lossy_status lossy_experts::status() const {
    const std::lock_guard<std::mutex> lock(mutex);
    lossy_status                      result{ current, counted, state, written, problem, path, 0, 0 };
    if (in_use) {
        result.ram_bytes  = in_use->store.slot_bytes();
        result.bytes_read = in_use->store.counters().bytes_read;
    }
    return result;
}

void lossy_experts::restart_counters() {
    const std::lock_guard<std::mutex> lock(mutex);
    counted.assign(counted.size(), {});
    if (in_use) {
        in_use->store.restart_counters();
    }
}

// --- the copies' file and RAM

// Their share of `total`, at least what they need. Throws model.does-not-fit if that leaves too little for the full ones.
uint64_t lossy_experts::copies_bytes(const lossy_settings::low_precision & low, const expert_layout & layout, uint64_t all_bytes) const {
    const uint64_t least = expert_slots_least_bytes(layout);
    const uint64_t bytes = std::min(std::max(uint64_t(double(all_bytes) * low.ram_share), least), expert_slots_most_bytes(layout));
    const uint64_t need  = full.least_bytes() + least;
    if (all_bytes < need) {
        throw user_error("model.does-not-fit",
                         "Experts in " + low.type + " need " + std::to_string(least) + " bytes of RAM, and the full ones " + std::to_string(full.least_bytes()) + ": " +
                             std::to_string(need) + " in all, and the experts have " + std::to_string(all_bytes) + ". Give them more RAM, or do without lossyExperts.lowPrecision.",
                         { { "need", need }, { "have", all_bytes } });
    }
    return std::min(bytes, all_bytes - full.least_bytes());
}

void lossy_experts::begin_copies(const low_precision_file & file) {
    if (low_precision_file_usable(file)) {
        use_copies(file);
        return;
    }
    written = 0.0;
    note(low_precision_state::writing);
    writer = std::thread([this, file] { write(file); });
}

void lossy_experts::stop_writing() {
    stopping = true;
    if (writer.joinable()) {
        writer.join();
    }
    stopping = false;
}

// On a thread of its own.
void lossy_experts::write(const low_precision_file & file) {
    try {
        uint64_t bytes = 0;
        run_in_background([&] {
            bytes = low_precision_file_write(file, full.layout(), [this](uint64_t done, uint64_t all) {
                written = double(done) / double(all);
                return !stopping;
            });
        });
        if (bytes > 0) {
            use_copies(file);
        }
    } catch (const std::exception & error) {
        log_write(log_level::warn, std::string("Experts in fewer bits: ") + error.what());
        note(low_precision_state::failed, error.what());
    }
}

void lossy_experts::use_copies(const low_precision_file & file) {
    const std::lock_guard<std::mutex> lock(sharing);
    const uint64_t                    bytes = copies_bytes(*current.low, file.layout, total);
    std::shared_ptr<low_precision_copies> copies;
    full.resize(std::min(total - bytes, full.most_bytes()));
    try {
        copies = std::make_shared<low_precision_copies>(file, bytes);
    } catch (const std::exception & error) {
        full.resize(std::min(total, full.most_bytes()));
        note(low_precision_state::failed, error.what());
        throw;
    }
    {
        const std::lock_guard<std::mutex> between_batches(full.session);
        const std::lock_guard<std::mutex> state_lock(mutex);
        in_use = std::move(copies);
    }
    note(low_precision_state::ready);
}

void lossy_experts::drop_copies() {
    const std::lock_guard<std::mutex> lock(sharing);
    std::shared_ptr<low_precision_copies> last;
    {
        const std::lock_guard<std::mutex> between_batches(full.session);
        const std::lock_guard<std::mutex> state_lock(mutex);
        last.swap(in_use);
    }
    note(low_precision_state::off);
    if (last) {
        last.reset();
        full.resize(std::min(total, full.most_bytes()));
    }
}

// Who gets less, first.
void lossy_experts::share_ram() {
    const std::lock_guard<std::mutex> lock(sharing);
    const uint64_t                    bytes = in_use ? copies_bytes(*current.low, in_use->store.layout(), total) : 0;
    const uint64_t                    rest  = std::min(total - bytes, full.most_bytes());
    const bool                        less  = in_use && bytes < in_use->store.settings().ram_bytes;
    if (less) {
        in_use->store.resize(bytes);
    }
    full.resize(rest);
    if (in_use && !less) {
        in_use->store.resize(bytes);
    }
}

void lossy_experts::note(low_precision_state now, const std::string & why) {
    const std::lock_guard<std::mutex> lock(mutex);
    state   = now;
    problem = why;
}

// --- a batch

const expert_batch * lossy_experts::substitute(expert_batch & batch, const std::vector<bool> & copied) {
    std::vector<bool> at_hand = full.at_hand(batch.layer);
    for (size_t expert = 0; expert < copied.size(); expert++) {
        at_hand[expert] = at_hand[expert] || copied[expert];
    }
    miss_thresholds thresholds;
    thresholds.low  = in_use && current.low ? current.low->above : 1.0;
    thresholds.skip = current.skip_above.empty() ? 1.0 : current.skip_above[batch.layer];
    const std::vector<expert_precision> how = substitute_misses(batch.ids, batch.weights, batch.used, at_hand, thresholds);
    count(batch, how);
    log[batch.layer] = { how, batch.used };
    const auto is = [&](expert_precision which) { return [which](expert_precision one) { return one == which; }; };
    if (std::any_of(how.begin(), how.end(), is(expert_precision::skipped))) {
        skip_experts(batch.ids, batch.weights, batch.used, how);
    }
    if (std::none_of(how.begin(), how.end(), is(expert_precision::low))) {
        return nullptr;
    }
    low_batch = batch;
    for (size_t i = 0; i < how.size(); i++) {
        (how[i] == expert_precision::low ? batch : low_batch).ids[i] = -1;
    }
    return &low_batch;
}

void lossy_experts::count(const expert_batch & batch, const std::vector<expert_precision> & how) {
    lossy_layer_counters now;
    std::vector<bool>    seen(full.layout().experts, false);
    uint64_t             expert_bytes = 0;
    for (const expert_part & part : full.layout().layers[batch.layer].parts) {
        expert_bytes += part.bytes;
    }
    for (size_t i = 0; i < how.size(); i++) {
        if (batch.ids[i] < 0) {
            continue;
        }
        now.assignments++;
        now.low += how[i] == expert_precision::low ? 1 : 0;
        now.skipped += how[i] == expert_precision::skipped ? 1 : 0;
        if (how[i] != expert_precision::full && !seen[size_t(batch.ids[i])]) {
            seen[size_t(batch.ids[i])] = true;
            now.bytes_not_read += expert_bytes;
        }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    counted[batch.layer].add(now);
    counted[batch.layer].bytes_not_read += now.bytes_not_read;
}

void lossy_experts::give_up_copies(const std::string & why) {
    log_write(log_level::warn, "Experts in fewer bits are not used any more: " + why);
    const std::lock_guard<std::mutex> lock(mutex);
    state   = low_precision_state::failed;
    problem = why;
    in_use.reset();
}

void lossy_experts::begin_batch() {
    for (layer_log & layer : log) {
        layer = {};
    }
}

std::vector<lossy_uses> lossy_experts::uses_of_tokens(uint32_t tokens, const std::vector<uint32_t> & outputs) const {
    std::vector<lossy_uses> result(tokens);
    for (const layer_log & layer : log) {
        const size_t rows = layer.used > 0 ? layer.how.size() / size_t(layer.used) : 0;
        const bool   all  = rows == tokens;
        if (rows == 0 || (!all && rows != outputs.size())) {
            continue;
        }
        for (size_t i = 0; i < layer.how.size(); i++) {
            const size_t row = i / size_t(layer.used);
            lossy_uses & of  = result[all ? row : outputs[row]];
            of.assignments++;
            of.low += layer.how[i] == expert_precision::low ? 1 : 0;
            of.skipped += layer.how[i] == expert_precision::skipped ? 1 : 0;
        }
    }
    return result;
}

}  // namespace moebius
