#include "model-sample.h"

#include "model/tensor-class.h"

#include <algorithm>

namespace moebius {

namespace {

// "blk.7.attn_q.weight" of layer 7 as layer 1
std::string renamed(const std::string & name, int64_t layer) {
    const size_t rest = name.find('.', name.find('.') + 1);
    return "blk." + std::to_string(layer) + name.substr(rest);
}

// [layers] numbers that are trained
std::vector<int64_t> trained_numbers(const adapter & outline, int64_t layers) {
    std::vector<int64_t> numbers(static_cast<size_t>(layers), 0);
    for (const train_parameter & parameter : outline.parameters) {
        const int64_t layer = tensor_layer(parameter.name);
        if (layer >= 0 && layer < layers) {
            numbers[size_t(layer)] += parameter.count();
        }
    }
    return numbers;
}

// Layers of the model, ascending.
std::vector<int64_t> chosen_layers(const base_shape & shape, const adapter & outline, int64_t routed) {
    const int64_t              dense   = shape.experts > 0 ? shape.dense_layers : 0;
    const std::vector<int64_t> numbers = trained_numbers(outline, shape.layers);
    std::vector<int64_t>       chosen;
    if (dense > 0) {
        chosen.push_back(0);
    }
    for (int64_t layer = dense; layer < std::min(shape.layers, dense + routed - 1); layer++) {
        chosen.push_back(layer);
    }
    if (shape.layers > dense + routed - 1) {
        chosen.push_back(std::max_element(numbers.begin() + dense + routed - 1, numbers.end()) - numbers.begin());
    }
    return chosen;
}

gguf_model with_layers(const gguf_model & file, const std::vector<int64_t> & chosen) {
    gguf_model made = file;
    made.tensors.clear();
    made.tensor_index.clear();
    for (gguf_tensor tensor : file.tensors) {
        const int64_t layer = tensor_layer(tensor.name);
        const auto    found = std::find(chosen.begin(), chosen.end(), layer);
        if (layer >= 0 && found == chosen.end()) {
            continue;
        }
        tensor.name                    = layer < 0 ? tensor.name : renamed(tensor.name, found - chosen.begin());
        made.tensor_index[tensor.name] = made.tensors.size();
        made.tensors.push_back(std::move(tensor));
    }
    return made;
}

// Numbers are all the same: what is computed with them takes the same time whatever they are.
adapter with_layers(const adapter & outline, const std::vector<int64_t> & chosen) {
    constexpr float     number = 0.01f;
    adapter             made   = outline;
    std::vector<size_t> place(outline.parameters.size(), 0);
    made.parameters.clear();
    made.tensors.clear();
    for (size_t i = 0; i < outline.parameters.size(); i++) {
        const train_parameter & from  = outline.parameters[i];
        const int64_t           layer = tensor_layer(from.name);
        const auto              found = std::find(chosen.begin(), chosen.end(), layer);
        if (layer < 0 || found != chosen.end()) {
            place[i] = made.parameters.size();
            train_parameter parameter{ layer < 0 ? from.name : renamed(from.name, found - chosen.begin()), from.n0, from.n1, from.n2, {}, {} };
            parameter.values.assign(size_t(from.count()), number);
            parameter.gradient.assign(size_t(from.count()), 0.0f);
            made.parameters.push_back(std::move(parameter));
        }
    }
    for (adapted_tensor tensor : outline.tensors) {
        const int64_t layer = tensor_layer(tensor.base);
        const auto    found = std::find(chosen.begin(), chosen.end(), layer);
        if (layer < 0 || found != chosen.end()) {
            tensor.base = layer < 0 ? tensor.base : renamed(tensor.base, found - chosen.begin());
            tensor.a    = place[tensor.a];
            tensor.b    = place[tensor.b];
            made.tensors.push_back(std::move(tensor));
        }
    }
    return made;
}

}  // namespace

model_sample sample_of(const gguf_model & file, const base_shape & shape, const adapter & outline, int64_t routed) {
    const std::vector<int64_t> chosen = chosen_layers(shape, outline, routed);
    const int64_t              dense  = shape.experts > 0 ? shape.dense_layers : 0;
    model_sample               made{ with_layers(file, chosen), shape, with_layers(outline, chosen), {} };
    made.shape.layers       = int64_t(chosen.size());
    made.shape.dense_layers = std::min<int64_t>(shape.dense_layers, 1);
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        const bool is_bottom = layer < dense || layer == 0;  // nothing is trained below the first layer: its backward pass is shorter
        made.stands_for.push_back(is_bottom ? 0 : made.shape.layers - 1);
    }
    return made;
}

gguf_model without_contents(gguf_model file) {
    for (gguf_tensor & tensor : file.tensors) {
        tensor.bytes = 0;
    }
    return file;
}

}  // namespace moebius
