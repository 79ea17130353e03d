#include "export-method.h"

#include "checkpoint.h"
#include "model/load-progress.h"
#include "rpc/parameters.h"
#include "train/export/adapter-file.h"
#include "train/export/merge.h"
#include "train/export/peft-export.h"

#include <algorithm>
#include <filesystem>
#include <thread>

namespace moebius {

namespace {

// What a checkpoint trained, with the numbers that it had.
adapter trained_of(const checkpoint & from, const run_settings & settings, const gguf_model & base) {
    adapter made = new_adapter(base, settings.adapter);
    if (made.parameters.size() != from.state.parameters.size()) {
        throw user_error("request.invalid", "The checkpoint's tensors are not those of its settings and of " + settings.model + ".", { { "path", settings.model } });
    }
    for (size_t i = 0; i < made.parameters.size(); i++) {
        if (made.parameters[i].name != from.state.parameters[i].name || made.parameters[i].values.size() != from.state.parameters[i].values.size()) {
            throw user_error("request.invalid", "The checkpoint's tensor " + from.state.parameters[i].name + " is none of " + settings.model + ".", { { "path", settings.model } });
        }
        made.parameters[i].values = from.state.parameters[i].values;
    }
    return made;
}

// By whatever name: links, too.
void refuse_own_file(const std::string & path, const std::string & own, const char * what) {
    std::error_code error;  // nothing is there yet
    if (std::filesystem::equivalent(std::filesystem::u8path(path), std::filesystem::u8path(own), error)) {
        throw user_error("request.invalid", path + " is " + what + ", and an export would take its place. Name another file.", { { "parameter", "path" }, { "path", path } });
    }
}

}  // namespace

json export_method(call & request, const json & params) {
    parameters        source(params);
    const std::string from   = source.string("checkpoint", 1);
    const std::string format = source.optional_choice("format", { "adapter", "peft", "merged" }).value_or("adapter");
    const std::string path   = source.string("path", 1);
    const std::string type   = source.optional_string("type", 1).value_or(format == "merged" ? "same" : "f32");
    const std::string name   = source.optional_string("baseName").value_or("");
    const bool        pairs  = source.optional_boolean("pairsOnly").value_or(false);
    if (format == "peft" && source.has("type")) {
        source.refuse("type", "is of adapter and merged files; those for PEFT have F32 numbers. Leave it out");
    }
    if (format != "peft" && source.has("baseName")) {
        source.refuse("baseName", "is of files for PEFT, which load their base by it. Leave it out, or choose the format peft");
    }
    load_progress     progress(request, source.optional_string("progressToken"));
    source.finish();
    refuse_own_file(path, from, "the checkpoint itself");
    const checkpoint   saved    = checkpoint_read(from);
    const run_settings settings = settings_to_go_on(saved.settings, saved.state.chosen);
    const gguf_model   base     = gguf_open(settings.model);
    for (const std::string & file : base.files) {
        refuse_own_file(path, file, "the base that was trained");
    }
    refuse_other_base(saved.state.origin, base);
    const adapter      all      = trained_of(saved, settings, base);
    const adapter      trained  = pairs ? pairs_of(all) : all;
    if (format == "adapter") {
        if (type != "f32" && type != "f16") {
            throw user_error("request.invalid", "An adapter file has numbers of the type f32 or f16, not " + type + ".", { { "parameter", "type" } });
        }
        adapter_write(with_all_experts(trained, base.hparam("expert_count", 0)), path, type == "f32" ? GGML_TYPE_F32 : GGML_TYPE_F16);
    } else if (format == "peft") {
        peft_write(with_all_experts(trained, base.hparam("expert_count", 0)), base, name, path);
    } else if (merge_write(base, trained, merge_type_named(type), path, std::max(1u, std::thread::hardware_concurrency()),
                           [&](uint64_t done, uint64_t all) { return progress.report("export", double(done) / double(all)); }) == 0) {
        request.throw_if_cancelled();
    }
    return { { "path", path }, { "step", saved.state.step } };
}

}  // namespace moebius
