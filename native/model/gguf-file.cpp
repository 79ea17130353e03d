// One model from one or several files.
#include "gguf-file.h"
#include "gguf-check.h"
#include "gguf-part.h"
#include "utf8.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace moebius {

const gguf_value * gguf_model::find(const std::string & key) const {
    const auto found = metadata_index.find(key);
    return found == metadata_index.end() ? nullptr : &metadata[found->second].second;
}

const gguf_tensor * gguf_model::find_tensor(const std::string & name) const {
    const auto found = tensor_index.find(name);
    return found == tensor_index.end() ? nullptr : &tensors[found->second];
}

std::string gguf_model::architecture() const {
    const gguf_value * value = find("general.architecture");
    const auto *       text  = value != nullptr && !value->array ? value->text() : nullptr;
    return text != nullptr ? *text : "";
}

const gguf_value * gguf_model::find_hparam(const std::string & suffix) const {
    return find(architecture() + "." + suffix);
}

int64_t gguf_model::hparam(const std::string & suffix, int64_t fallback) const {
    const gguf_value * value = find_hparam(suffix);
    if (value == nullptr || value->count == 0 || !value->integer()) {
        return fallback;
    }
    int64_t largest = *value->integer();
    for (uint64_t i = 1; i < value->count; ++i) {
        largest = std::max(largest, *value->integer(i));
    }
    return largest;
}

int64_t gguf_model::hparam_of_layer(const std::string & suffix, int64_t layer, int64_t fallback) const {
    const gguf_value * value = find_hparam(suffix);
    const auto         found = value != nullptr ? value->integer(value->array ? uint64_t(layer) : 0) : std::nullopt;
    return found.value_or(fallback);
}

// `<prefix>-00002-of-00003.gguf`
struct part_name {
    std::string prefix;
    uint32_t    number = 0;  // 1-based
    uint32_t    count  = 0;

    std::string path_of(uint32_t part) const {
        char suffix[40];
        std::snprintf(suffix, sizeof(suffix), "-%05u-of-%05u.gguf", part, count);
        return prefix + suffix;
    }
};

static std::optional<part_name> parse_part_name(const std::string & path) {
    const std::string shape = "-00000-of-00000.gguf";  // 0 stands for any digit
    if (path.size() <= shape.size()) {
        return std::nullopt;
    }
    const size_t      start  = path.size() - shape.size();
    const std::string suffix = path.substr(start);
    for (size_t i = 0; i < shape.size(); ++i) {
        const bool digit = suffix[i] >= '0' && suffix[i] <= '9';
        if (shape[i] == '0' ? !digit : suffix[i] != shape[i]) {
            return std::nullopt;
        }
    }
    return part_name{ path.substr(0, start), uint32_t(std::stoul(suffix.substr(1, 5))), uint32_t(std::stoul(suffix.substr(10, 5))) };
}

// 0 if absent; llama.cpp aborts if `split.no` of a later part is anything but a 16-bit number
static uint32_t split_value(const gguf_part & part, const char * key) {
    const gguf_value * value = part.find(key);
    if (value == nullptr) {
        return 0;
    }
    if (value->type != GGUF_TYPE_UINT16 || value->array) {
        gguf_fail("file.corrupt", part.path, std::string(key) + " is not a 16-bit number");
    }
    return uint32_t(*value->integer());
}

static void fail_if_parts_missing(const part_name & name, const std::string & path) {
    auto missing = nlohmann::ordered_json::array();
    for (uint32_t part = 1; part <= name.count; ++part) {
        const auto      file = std::filesystem::u8path(name.path_of(part));
        std::error_code error;
        if (!std::filesystem::is_regular_file(file, error)) {
            missing.push_back(utf8_repair(file.filename().u8string()));
        }
    }
    if (!missing.empty()) {
        gguf_fail("file.split-incomplete", path, "the model has " + std::to_string(name.count) + " parts and " +
                  std::to_string(missing.size()) + " are missing, first " + missing.front().get<std::string>() +
                  "; put all parts into the same folder", { { "missing", missing }, { "parts", name.count } });
    }
}

// The parts in order. `path` names any of them.
static std::vector<gguf_part> read_parts(const std::string & path) {
    gguf_part      opened = gguf_read_part(path);
    const uint32_t count  = split_value(opened, "split.count");
    if (count < 2) {
        std::vector<gguf_part> single;
        single.push_back(std::move(opened));
        return single;
    }
    const uint32_t number = split_value(opened, "split.no") + 1;
    const auto     name   = parse_part_name(path);
    if (!name || name->number != number || name->count != count) {
        gguf_fail("file.split-incomplete", path, "the file says it is part " + std::to_string(number) + " of " + std::to_string(count) +
                  ", so it and the other parts have to be named like model" + part_name{ "", 0, count }.path_of(number) +
                  "; give the parts their names back", { { "part", number }, { "parts", count } });
    }
    fail_if_parts_missing(*name, path);
    std::vector<gguf_part> parts;
    for (uint32_t part = 1; part <= count; ++part) {
        parts.push_back(part == number ? std::move(opened) : gguf_read_part(name->path_of(part)));
        if (split_value(parts.back(), "split.no") + 1 != part || split_value(parts.back(), "split.count") != count) {
            gguf_fail("file.split-incomplete", parts.back().path, "named part " + std::to_string(part) + " of " + std::to_string(count) +
                      " but its metadata says otherwise; it belongs to another model", { { "part", part }, { "parts", count } });
        }
    }
    return parts;
}

static void add_part(gguf_model & model, gguf_part & part) {
    const auto index = uint32_t(model.files.size());
    model.files.push_back(part.path);
    model.file_bytes.push_back(part.bytes);
    for (gguf_tensor & tensor : part.tensors) {
        tensor.file = index;
        if (!model.tensor_index.emplace(tensor.name, model.tensors.size()).second) {
            gguf_fail("file.split-incomplete", part.path, "tensor '" + utf8_quote(tensor.name) +
                      "' is in an earlier part already; the parts belong to different models");
        }
        model.tensors.push_back(std::move(tensor));
    }
}

static void check_split_tensor_count(const gguf_model & model) {
    const gguf_value * value = model.find("split.tensors.count");
    const auto         count = value != nullptr && !value->array && value->type == GGUF_TYPE_INT32 ? value->integer() : std::nullopt;
    if (!count || *count != int64_t(model.tensors.size())) {
        gguf_fail("file.split-incomplete", model.files.front(), "the parts hold " + std::to_string(model.tensors.size()) + " tensors, but the first says " +
                  (count ? std::to_string(*count) : std::string("nothing")) + "; they belong to different models");
    }
}

gguf_model gguf_open(const std::string & path) {
    const auto absolute = std::filesystem::absolute(std::filesystem::u8path(path)).lexically_normal().u8string();
    auto       parts    = read_parts(absolute);
    gguf_model model;
    model.version  = parts.front().version;
    model.metadata = std::move(parts.front().metadata);
    for (size_t i = 0; i < model.metadata.size(); ++i) {
        model.metadata_index.emplace(model.metadata[i].first, i);
    }
    for (gguf_part & part : parts) {
        add_part(model, part);
    }
    if (parts.size() > 1) {
        check_split_tensor_count(model);
    }
    gguf_check_kind(model);
    gguf_check_hparams(model);
    gguf_check_tensors(model);
    gguf_check_tokenizer(model);
    gguf_check_templates(model);
    return model;
}

}  // namespace moebius
