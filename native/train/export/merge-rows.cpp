#include "merge-rows.h"

#include "rpc/errors.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

namespace moebius {

namespace {

constexpr int64_t merge_lanes   = 16;  // a loop of constant length is made of vector instructions at every level of optimisation
constexpr float   f16_largest = 65504;

void add_scaled(float * into, const float * from, float factor, int64_t count) {
    int64_t i = 0;
    for (; i + merge_lanes <= count; i += merge_lanes) {
        for (int64_t j = 0; j < merge_lanes; j++) {
            into[i + j] += factor * from[i + j];
        }
    }
    for (; i < count; i++) {
        into[i] += factor * from[i];
    }
}

// Where the matrices of a row's expert are in the pair's stacks, -1: it is not adapted.
int32_t matrix_of_row(const adapted_tensor & pair, const adapter & trained, int64_t row) {
    return pair.matrix_of(int32_t(row / trained.parameters[pair.b].n1));
}

// row += scale * sum over k of b[k, row] * a[:, k], of the row's expert. delta: room for a row
void add_pair(const adapted_tensor & pair, const adapter & trained, int64_t row, std::vector<float> & delta, float * values) {
    const train_parameter & a = trained.parameters[pair.a], & b = trained.parameters[pair.b];
    const int64_t           matrix    = matrix_of_row(pair, trained, row);
    const float *           of_expert = a.values.data() + matrix * a.n0 * a.n1;
    const float *           weights   = b.values.data() + (matrix * b.n1 + row % b.n1) * b.n0;
    std::fill(delta.begin(), delta.end(), 0.0f);
    for (int64_t k = 0; k < b.n0; k++) {
        add_scaled(delta.data(), of_expert + k * a.n0, weights[k], a.n0);
    }
    add_scaled(values, delta.data(), pair.scale(), a.n0);
}

class row_merger {
  public:
    row_merger(const merged_tensor & tensor, const adapter & trained) : tensor(tensor), trained(trained), width(tensor.ne[0]), values(size_t(width)), delta(size_t(width)) {}

    // false: a number that the type cannot hold
    bool merge(int64_t row, const uint8_t * from, uint8_t * into) {
        const bool is_changed = tensor.pair != nullptr && matrix_of_row(*tensor.pair, trained, row) >= 0;
        if (tensor.pair != nullptr && !is_changed && tensor.type == tensor.from->type) {
            std::memcpy(into, from, ggml_row_size(tensor.type, width));  // of an expert that is not adapted
            return true;
        }
        if (tensor.whole != nullptr) {
            std::copy_n(tensor.whole->values.data() + row * width, width, values.data());
        } else {
            read(from);
        }
        if (is_changed) {
            add_pair(*tensor.pair, trained, row, delta, values.data());
        }
        const float limit = tensor.type == GGML_TYPE_F16 ? f16_largest : INFINITY;
        for (const float value : values) {
            if (!std::isfinite(value) || std::fabs(value) > limit) {
                return false;
            }
        }
        ggml_quantize_chunk(tensor.type, values.data(), into, 0, 1, width, nullptr);
        return true;
    }

  private:
    void read(const uint8_t * from) {
        if (tensor.from->type == GGML_TYPE_F32) {
            std::memcpy(values.data(), from, values.size() * sizeof(float));
        } else {
            ggml_get_type_traits(tensor.from->type)->to_float(from, values.data(), width);
        }
    }

    const merged_tensor & tensor;
    const adapter &       trained;
    int64_t               width;
    std::vector<float>    values, delta;
};

}  // namespace

void merge_rows(const merged_tensor & tensor, const adapter & trained, const row_block & rows, const uint8_t * from, uint8_t * into, uint32_t threads) {
    const size_t      from_row = tensor.from ? ggml_row_size(tensor.from->type, tensor.ne[0]) : 0, into_row = ggml_row_size(tensor.type, tensor.ne[0]);
    std::atomic<bool> fits{ true };
    const auto        work = [&](int64_t begin, int64_t end) {
        row_merger merger(tensor, trained);
        for (int64_t i = begin; i < end; i++) {
            if (!merger.merge(rows.first + i, from + size_t(i) * from_row, into + size_t(i) * into_row)) {
                fits = false;
            }
        }
    };
    ggml_quantize_init(tensor.type);  // before several threads need its tables
    const int64_t            workers = std::max<int64_t>(1, std::min<int64_t>(threads, rows.count));
    std::vector<std::thread> others;
    for (int64_t i = 1; i < workers; i++) {
        others.emplace_back(work, rows.count * i / workers, rows.count * (i + 1) / workers);
    }
    work(0, rows.count / workers);
    for (std::thread & other : others) {
        other.join();
    }
    if (!fits) {
        throw user_error("file.corrupt", tensor.name + " with what was trained holds numbers that " + std::string(ggml_type_name(tensor.type)) +
                                             " cannot hold. Merge to bf16 or f32, or go back to an earlier checkpoint.", { { "tensor", tensor.name } });
    }
}

}  // namespace moebius
