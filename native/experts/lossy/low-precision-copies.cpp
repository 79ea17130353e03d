#include "low-precision-copies.h"

#include "experts/layout/layout-writer.h"
#include "experts/store/low-precision.h"
#include "rpc/log.h"

#include <filesystem>

namespace moebius {

namespace {

expert_store_settings settings_of(uint64_t ram_bytes) {
    expert_store_settings settings;
    settings.ram_bytes = ram_bytes;
    settings.policy    = "score";
    settings.prefetch  = false;  // who will be a miss, and matter little, nobody foretells
    return settings;
}

}  // namespace

low_precision_file low_precision_file_of(const gguf_model & file, const expert_layout & full, const std::string & type) {
    low_precision_file low{ type, low_precision_path_of(file, type), layout_fingerprint(file, full) + ":" + type, low_precision_layout(full, low_precision_type(type)) };
    if (!expert_ffn::supports(low.layout)) {
        throw user_error("request.invalid", "lossyExperts: this machine's CPU has no kernels for experts in " + type + ". Take q4_0.", { { "parameter", "lossyExperts" } });
    }
    return low;
}

bool low_precision_file_usable(const low_precision_file & file) {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::u8path(file.path), error)) {
        return false;
    }
    try {
        layout_apply(file.layout, file.path, file.fingerprint);
        return true;
    } catch (const user_error & problem) {
        log_write(log_level::warn, std::string("The experts in fewer bits are made anew: ") + problem.what());
        return false;
    }
}

uint64_t low_precision_file_write(const low_precision_file & file, const expert_layout & full, const std::function<bool(uint64_t, uint64_t)> & go_on) {
    return layout_write_low(full, file.layout, file.fingerprint, file.path, go_on);
}

low_precision_copies::low_precision_copies(low_precision_file which, uint64_t ram_bytes)
    : file(std::move(which)), store(layout_apply(file.layout, file.path, file.fingerprint), settings_of(ram_bytes)), ffn(store, cpu_kernels_get()) {
    store.finder = nullptr;  // super experts are found by outputs in full precision
    store.fill([](uint64_t, uint64_t) { return true; });
}

}  // namespace moebius
