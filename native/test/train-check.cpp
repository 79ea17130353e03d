#include "train-check.h"

#include "model/backends.h"
#include "model/llama-log.h"
#include "rpc-servers.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>

namespace moebius_test {

namespace {

std::set<std::string>                        seen_ops;
std::map<std::string, std::set<std::string>> lacking;  // by device

struct outcome {
    numbers              result;
    std::vector<numbers> gradients;  // of the operands, empty where there is none
};

template <typename Values> numbers to_numbers(const Values & values) {
    return numbers(values.begin(), values.end());
}

struct made_operand {
    std::vector<uint8_t> bytes;   // of its type
    numbers              values;  // that they stand for
};

made_operand random_operand(const operand & of, std::mt19937 & random) {
    std::normal_distribution<float> normal(0, float(of.spread));
    std::vector<float>              floats(of.size());
    for (float & value : floats) {
        value = normal(random);
    }
    made_operand made{ std::vector<uint8_t>(ggml_row_size(of.type, of.n0) * size_t(of.n1 * of.n2)), {} };
    if (of.type == GGML_TYPE_F32) {
        std::memcpy(made.bytes.data(), floats.data(), made.bytes.size());
    } else {
        const std::vector<float> importance(size_t(of.n0), 1.0f);  // some types are not made without
        ggml_quantize_chunk(of.type, floats.data(), made.bytes.data(), 0, of.n1 * of.n2, of.n0, importance.data());
        ggml_get_type_traits(of.type)->to_float(made.bytes.data(), floats.data(), int64_t(floats.size()));
    }
    made.values = to_numbers(floats);
    return made;
}

std::string described(const ggml_tensor * node) {
    std::string text = ggml_op_desc(node);
    for (const ggml_tensor * source : { node->src[0], node->src[1] }) {
        if (source && source->type != GGML_TYPE_F32 && source->type != GGML_TYPE_I32) {
            text += std::string(" of ") + ggml_type_name(source->type);
        }
    }
    return text;
}

void note_ops(ggml_cgraph * graph, ggml_backend_dev_t on) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        const ggml_tensor * node = ggml_graph_node(graph, i);
        seen_ops.insert(described(node));
        CHECK(ggml_backend_dev_supports_op(cpu, node));
        if (!ggml_backend_dev_supports_op(on, node)) {
            lacking[ggml_backend_dev_name(on)].insert(described(node));
        }
    }
}

outcome run(const op_check & check, ggml_backend_dev_t device, const std::vector<made_operand> & made_operands, const numbers & seed, const std::vector<bool> & wanted) {
    train_runner               runner(device, 2);
    train_tensors              weights(device, made_operands.size());
    train_tape                 tape(device, 4096);
    std::vector<train_value>   operands;
    std::vector<ggml_tensor *> tensors;
    for (size_t i = 0; i < made_operands.size(); i++) {
        const operand & of = check.operands[i];
        tensors.push_back(weights.make(of.type, of.n0, of.n1, of.n2));
        operands.push_back(wanted[i] ? tape.variable(tensors[i]) : train_value(tensors[i]));
    }
    weights.allocate();
    for (size_t i = 0; i < made_operands.size(); i++) {
        runner.write(tensors[i], made_operands[i].bytes.data());
    }
    graph_maker         maker{ tape, {} };
    const train_value   result = check.graph(maker, operands);
    const int64_t *     ne     = result.tensor->ne;
    tape.keep(result.tensor);
    tape.add_gradient(result, maker.keep(tape.input(GGML_TYPE_F32, ne[0], ne[1], ne[2]), std::vector<float>(seed.begin(), seed.end()).data()));
    tape.backward();
    if (check.finish) {
        check.finish(maker, operands);
    }
    for (const train_value & of : operands) {
        if (tape.gradient(of)) {
            tape.keep(tape.gradient(of));
        }
    }
    note_ops(tape.graph(), device);
    runner.allocate(tape.graph());
    for (const auto & [input, bytes] : maker.written) {
        if (input->buffer) {  // else no node reads it
            runner.write(input, bytes.data());
        }
    }
    runner.compute(tape.graph());
    outcome made{ to_numbers(runner.read(result.tensor)), {} };
    for (const train_value & of : operands) {
        made.gradients.push_back(tape.gradient(of) ? to_numbers(runner.read(tape.gradient(of))) : numbers());
    }
    return made;
}

double weighed(const numbers & result, const numbers & seed) {
    double sum = 0;
    for (size_t i = 0; i < seed.size(); i++) {
        sum += result.at(i) * seed[i];
    }
    return sum;
}

// The error of a central difference is about step^2 / 6 times the third derivative, and 1e-16 / step: far below f32_tolerance.
numbers central_differences(const op_check & check, std::vector<numbers> values, size_t operand, const numbers & seed) {
    constexpr double step = 1e-4;
    numbers          gradient;
    for (double & value : values[operand]) {
        const double at = value;
        value           = at + step;
        const double up = weighed(check.reference(values), seed);
        value           = at - step;
        gradient.push_back((up - weighed(check.reference(values), seed)) / (2 * step));
        value = at;
    }
    return gradient;
}

// The largest difference as a share of the largest number.
double difference(const numbers & a, const numbers & b) {
    double most = a.size() == b.size() ? 0 : INFINITY, largest = 1e-30;
    for (size_t i = 0; i < std::min(a.size(), b.size()); i++) {
        most    = std::isfinite(a[i]) ? std::max(most, std::fabs(a[i] - b[i])) : INFINITY;
        largest = std::max(largest, std::fabs(b[i]));
    }
    return most / largest;
}

void report_difference(const std::string & what, ggml_backend_dev_t device, double found) {
    report(found <= f32_tolerance, __FILE__, __LINE__, what + " on " + ggml_backend_dev_name(device) + " is off by " + std::to_string(found * 1e6) + "e-6");
}

}  // namespace

const std::vector<ggml_backend_dev_t> & train_devices() {
    static const std::vector<ggml_backend_dev_t> devices = [] {
        setenv("GGML_VK_DISABLE_F16", "1", 0);  // else Vulkan rounds the factors of matrix products to F16: 1e-3 off
        llama_log_install();
        backends_load();
        std::vector<ggml_backend_dev_t> all{ ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) };
        for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
            ggml_backend_dev_t device = ggml_backend_dev_get(i);
            if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU || ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_IGPU) {
                all.push_back(device);
            }
        }
        if (all.size() == 1) {
            std::fprintf(stderr, "no GPU here: not checked on one\n");
        }
        static const rpc_servers server(1);
        all.push_back(server.devices()[0]);
        return all;
    }();
    return devices;
}

void check_op(const op_check & check) {
    train_devices();  // before ggml is used: it starts everything
    std::mt19937              random(7);
    std::vector<made_operand> operands;
    std::vector<numbers>      values;
    for (const operand & of : check.operands) {
        operands.push_back(random_operand(of, random));
        values.push_back(operands.back().values);
    }
    const numbers expected = check.reference(values);
    const numbers seed     = random_operand({ int64_t(expected.size()) }, random).values;

    std::vector<numbers>           gradients(values.size());
    std::vector<std::vector<bool>> choices{ {} };
    for (size_t i = 0; i < values.size(); i++) {
        choices[0].push_back(check.operands[i].wanted);
        if (check.operands[i].wanted) {
            gradients[i] = central_differences(check, values, i, seed);
            choices.push_back(std::vector<bool>(values.size(), false));
            choices.back()[i] = true;
        }
    }
    for (ggml_backend_dev_t device : train_devices()) {
        for (const std::vector<bool> & wanted : choices) {
            if (&wanted != &choices[0] && device != train_devices()[0]) {
                continue;  // what is emitted for one operand is the tape's business, not the device's
            }
            const outcome found = run(check, device, operands, seed, wanted);
            report_difference("result of " + check.name, device, difference(found.result, expected));
            for (size_t i = 0; i < values.size(); i++) {
                if (wanted[i]) {
                    report_difference("gradient of operand " + std::to_string(i) + " of " + check.name, device, difference(found.gradients[i], gradients[i]));
                } else {
                    CHECK(found.gradients[i].empty());
                }
            }
        }
    }
}

void report_ops() {
    const auto list = [](const char * title, const std::set<std::string> & ops) {
        std::string text;
        for (const std::string & op : ops) {
            text += (text.empty() ? "" : ", ") + op;
        }
        std::fprintf(stderr, "%s: %s\n", title, text.c_str());
    };
    list("ops that were emitted", seen_ops);
    for (const auto & [device, ops] : lacking) {
        list(("not on " + device).c_str(), ops);
    }
}

}  // namespace moebius_test
