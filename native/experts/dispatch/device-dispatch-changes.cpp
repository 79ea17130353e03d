// The part of device_dispatch that changes it while batches are computed: budgets, and copies in low precision.
#include "device-dispatch.h"

namespace moebius {

void device_dispatch::ensure_ffns(const std::vector<uint64_t> & bytes) {
    for (uint32_t d = 0; d < lanes.size(); d++) {
        if (bytes[d] > 0 && !lanes[d].ffn) {
            lanes[d].ffn     = std::make_unique<device_ffn>(tier.device(d), source.layout(), tokens_most);
            lanes[d].fetcher = std::make_unique<device_fetch>(tier.device(d), source, tokens_most);
        }
    }
}

void device_dispatch::resize(const std::vector<uint64_t> & bytes) {
    const std::lock_guard<std::mutex>         one(switching);
    const std::optional<low_precision_choice> lower = low ? std::optional(low->choice()) : std::nullopt;
    drop_low();
    {
        const std::lock_guard<std::mutex> between_batches(source.session);
        ensure_ffns(bytes);
    }
    tier.resize(device_room_for(source.layout(), bytes));
    if (lower) {  // for the new budgets it looks anew
        take_low(*lower);
    }
}

void device_dispatch::set_low_precision(const std::optional<low_precision_choice> & choice) {
    const std::lock_guard<std::mutex> one(switching);
    drop_low();
    if (choice) {
        take_low(*choice);
    }
}

void device_dispatch::take_low(const low_precision_choice & choice) {
    const std::lock_guard<std::mutex> between_batches(source.session);
    auto                              made = std::make_unique<low_copies>(source, tier, choice, tokens_most);
    const std::lock_guard<std::mutex> lock(low_mutex);
    low = std::move(made);
}

void device_dispatch::drop_low() {
    if (!low) {
        return;
    }
    {
        const std::lock_guard<std::mutex> between_batches(source.session);
        low->stop();
        const std::lock_guard<std::mutex> lock(low_mutex);
        low.reset();
    }
    tier.resize(device_room_for(source.layout(), tier.budgets()));
}

std::optional<low_report> device_dispatch::low_precision() const {
    const std::lock_guard<std::mutex> lock(low_mutex);
    if (!low) {
        return std::nullopt;
    }
    low_report report{ low->choice(), low->calibrated(), low->copies().moving(), low->low(), low->copies().placement(), {}, {} };
    for (uint32_t d = 0; d < lanes.size(); d++) {
        report.bytes.push_back(low->copies().device(d).bytes());
        report.tokens.push_back(low->copies().counters()[d].tokens);
    }
    return report;
}

void device_dispatch::set_adapts(bool adapts) {
    tier.set_adapts(adapts);
    const std::lock_guard<std::mutex> lock(low_mutex);
    if (low) {
        low->set_adapts(adapts);
    }
}

}  // namespace moebius
