// Gradients of whole models, all parameters at once, as another program computes them in double precision (test/reference/training).
// `train-reference-test FOLDER` writes the models and what is done with them for that program, which writes test/data/gradients.
#include "train-reference.h"

#include "check.h"
#include "experts/simulate/crc32.h"
#include "model/backends.h"
#include "train/pass/pass.h"

#include <ggml-cpp.h>
#include <gguf.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace moebius;
using namespace moebius_test;

namespace {

// Of the length of a gradient: sums of some hundred products in F32, one behind the other through two layers. Up to 2.8e-6 were measured; what is promised is 1e-4.
constexpr double gradient_tolerance = 2e-5;
constexpr double loss_tolerance     = 1e-6;  // of the loss

// What another program found.
class reference {
  public:
    explicit reference(const std::string & path) {
        ggml_context * read = nullptr;
        file.reset(gguf_init_from_file(path.c_str(), { false, &read }));
        tensors.reset(read);
        CHECK(file != nullptr);
    }

    explicit operator bool() const { return file != nullptr; }
    uint32_t checksum() const { return gguf_get_val_u32(file.get(), gguf_find_key(file.get(), "case.crc32")); }
    double   number(const char * key) const { return gguf_get_val_f64(file.get(), gguf_find_key(file.get(), key)); }
    int64_t  count() const { return gguf_get_n_tensors(file.get()); }

    std::vector<int32_t> expert_tokens() const {
        const int64_t key  = gguf_find_key(file.get(), "expert_tokens");
        if (key < 0) {
            return {};  // no experts
        }
        const auto *  data = static_cast<const int32_t *>(gguf_get_arr_data(file.get(), key));
        return std::vector<int32_t>(data, data + gguf_get_arr_n(file.get(), key));
    }

    // Null: it has no such parameter.
    const float * gradient(const std::string & parameter, size_t numbers) const {
        ggml_tensor * const found = ggml_get_tensor(tensors.get(), parameter.c_str());
        CHECK(found != nullptr && size_t(ggml_nelements(found)) == numbers);
        return found ? static_cast<const float *>(found->data) : nullptr;
    }

  private:
    gguf_context_ptr file;
    ggml_context_ptr tensors;
};

uint32_t checksum_of(const std::string & path) {
    std::ifstream              file(path, std::ios::binary);
    const std::vector<uint8_t> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return crc32_of(bytes.data(), bytes.size());
}

// |a - b| / |b|
double distance(const std::vector<float> & a, const float * b) {
    double difference = 0, length = 0;
    for (size_t i = 0; i < a.size(); i++) {
        difference += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
        length += double(b[i]) * double(b[i]);
    }
    return length > 0 ? std::sqrt(difference / length) : difference > 0 ? INFINITY : 0;
}

// Experts that no token went to are exactly 0 on both sides.
void check_idle_experts(const train_parameter & stack, const float * expected, const std::vector<int64_t> & tokens) {
    const size_t each = size_t(stack.n0 * stack.n1);
    for (size_t e = 0; e < tokens.size(); e++) {
        for (size_t i = e * each; tokens[e] == 0 && i < (e + 1) * each; i++) {
            CHECK(stack.gradient[i] == 0 && expected[i] == 0);
        }
    }
}

void check_gradients(const reference_case & of, const std::string & path) {
    const gguf_model file  = gguf_open(path);
    const base_shape shape = base_shape_of(file);
    ggml_backend_dev_t const cpu   = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    adapter           trained = reference_adapter(of, file);
    train_pass        pass(file, shape, trained, { cpu, 1, {}, std::nullopt });
    const pass_result     result = pass.forward_backward(reference_batch(of), of.factors, trained);

    const std::string expected_path = std::string(MOEBIUS_TEST_DATA) + "/gradients/" + of.name + ".gguf";
    const reference   expected(expected_path);
    if (!expected) {
        return;
    }
    const std::string case_path = path + ".case";
    write_reference_case(of, trained, case_path);
    const bool same = (checksum_of(path) ^ checksum_of(case_path)) == expected.checksum();
    std::remove(case_path.c_str());
    if (!same && of.base.type != GGML_TYPE_F32) {
        std::fprintf(stderr, "%s: this machine quantises to other bytes than the reference's: not compared\n", of.name.c_str());
        return;
    }
    CHECK(same);  // else made anew: test/reference/training/README.md
    std::vector<int32_t> expert_tokens;
    for (const std::vector<int64_t> & layer : result.expert_tokens) {
        expert_tokens.insert(expert_tokens.end(), layer.begin(), layer.end());
    }
    CHECK(expert_tokens == expected.expert_tokens());
    CHECK_NEAR(result.loss, expected.number("loss"), loss_tolerance * expected.number("loss"));
    CHECK_NEAR(result.balance, expected.number("balance_loss"), loss_tolerance * expected.number("balance_loss"));
    CHECK_NEAR(result.z, expected.number("z_loss"), 10 * loss_tolerance * expected.number("z_loss"));
    CHECK_EQUAL(expected.count(), int64_t(trained.parameters.size()));
    const int64_t experts = trained.mixture.experts > 0 ? trained.mixture.experts : shape.experts;
    double        worst   = 0;
    for (const train_parameter & parameter : trained.parameters) {
        const float * const gradient = expected.gradient(parameter.name, parameter.gradient.size());
        if (!gradient) {
            continue;
        }
        const double off = distance(parameter.gradient, gradient);
        worst            = std::max(worst, off);
        if (off > gradient_tolerance) {
            std::fprintf(stderr, "%s: %s is %.1e off\n", of.name.c_str(), parameter.name.c_str(), off);
        }
        CHECK(off <= gradient_tolerance);
        int layer = 0;
        if (parameter.n2 == experts && std::sscanf(parameter.name.c_str(), "blk.%d.", &layer) == 1) {
            check_idle_experts(parameter, gradient, result.expert_tokens[size_t(layer)]);
        }
    }
    std::fprintf(stderr, "%s: %zu gradients within %.1e of those in double precision\n", of.name.c_str(), trained.parameters.size(), worst);
}

// For the other program.
void write_cases(const std::filesystem::path & folder) {
    for (const reference_case & of : reference_cases()) {
        const std::string path = (folder / (of.name + ".base.gguf")).string();
        std::filesystem::rename(write_small_base(of.base), path);
        write_reference_case(of, reference_adapter(of, gguf_open(path)), (folder / (of.name + ".case.gguf")).string());
    }
}

}  // namespace

int main(int argc, char ** argv) {
    backends_load();
    if (argc > 1) {
        write_cases(argv[1]);
        return 0;
    }
    for (const reference_case & of : reference_cases()) {
        const std::string path = write_small_base(of.base);
        check_gradients(of, path);
        std::remove(path.c_str());
    }
    return check_result();
}
