#include "merge.h"

#include "adapter-export.h"
#include "gguf-output.h"
#include "merge-plan.h"
#include "merge-rows.h"
#include "model/utf8.h"
#include "rpc/errors.h"
#include "train/base/tensor-reader.h"

#include <algorithm>
#include <filesystem>

namespace moebius {

namespace {

constexpr uint64_t copied_bytes  = 4u << 20;  // that are copied in one go
constexpr int64_t  merged_floats = 4 << 20;   // that are computed in one go

using merge_progress = std::function<bool(uint64_t, uint64_t)>;

// false: stopped
bool copy_tensor(tensor_reader & base, const gguf_tensor & tensor, gguf_output & out, const merge_progress & go_on) {
    std::vector<uint8_t> piece;
    for (uint64_t at = 0; at < tensor.bytes; at += piece.size()) {
        if (!go_on(out.written(), out.bytes())) {
            return false;
        }
        piece.resize(size_t(std::min(copied_bytes, tensor.bytes - at)));
        base.read(tensor, at, piece.size(), piece.data());
        out.write(piece.data(), piece.size());
    }
    return true;
}

// false: stopped
bool merge_tensor(tensor_reader & base, const merged_tensor & tensor, const adapter & trained, uint32_t threads, gguf_output & out, const merge_progress & go_on) {
    const int64_t        all = tensor.rows(), of_base = tensor.rows_of_base(), most = std::max<int64_t>(1, merged_floats / tensor.ne[0]);
    const size_t         from_row = tensor.whole == nullptr ? ggml_row_size(tensor.from->type, tensor.ne[0]) : 0, into_row = ggml_row_size(tensor.type, tensor.ne[0]);
    std::vector<uint8_t> from, into;
    for (row_block rows; rows.first < all; rows.first += rows.count) {
        if (!go_on(out.written(), out.bytes())) {
            return false;
        }
        const int64_t at = rows.first % of_base;  // a mixture's experts read the same rows again
        rows.count       = std::min({ most, all - rows.first, of_base - at });
        from.resize(size_t(rows.count) * from_row);
        into.resize(size_t(rows.count) * into_row);
        if (tensor.whole == nullptr) {
            base.read(*tensor.from, uint64_t(at) * from_row, from.size(), from.data());
        }
        merge_rows(tensor, trained, rows, from.data(), into.data(), threads);
        out.write(into.data(), into.size());
    }
    return true;
}

void refuse_base_itself(const gguf_model & base, const std::string & path) {
    for (const std::string & file : base.files) {
        std::error_code error;
        if (std::filesystem::equivalent(std::filesystem::u8path(file), std::filesystem::u8path(path), error)) {
            throw user_error("request.invalid", utf8_repair(path) + " is the model that is merged from. Name another file.", { { "parameter", "path" } });
        }
    }
}

}  // namespace

uint64_t merge_write(const gguf_model & base, const adapter & trained, const merge_type & type, const std::string & path, uint32_t threads, const merge_progress & go_on) {
    refuse_base_itself(base, path);
    check_adapter_fits(trained, base, "The adapter");
    check_adapter_numbers(trained, "The adapter");
    const std::vector<merged_tensor> plan = merge_plan(base, trained, type);
    gguf_output                      out(merge_header(base, plan, type, trained.mixture).get(), path);
    tensor_reader                    files(base);
    for (const merged_tensor & tensor : plan) {
        const bool done = tensor.is_copied() ? copy_tensor(files, *tensor.from, out, go_on) : merge_tensor(files, tensor, trained, threads, out, go_on);
        if (!done) {
            return 0;
        }
        out.end_tensor();
    }
    out.publish();
    return out.bytes();
}

}  // namespace moebius
