#include "lossy-settings.h"

#include "experts/layout/layout-file.h"
#include "experts/lossy/sensitivity.h"
#include "experts/store/low-precision.h"
#include "rpc/parameters.h"

namespace moebius {

namespace {

const char * state_name(low_precision_state state) {
    switch (state) {
        case low_precision_state::off: return "off";
        case low_precision_state::writing: return "writing";
        case low_precision_state::ready: return "ready";
        default: return "failed";
    }
}

json low_to_json(const lossy_status & status) {
    if (!status.settings.low) {
        return nullptr;
    }
    return {
        { "type", status.settings.low->type },
        { "above", status.settings.low->above },
        { "ramShare", status.settings.low->ram_share },
        { "state", state_name(status.state) },
        { "written", status.state == low_precision_state::writing ? status.written : status.state == low_precision_state::ready ? 1.0 : 0.0 },
        { "problem", status.problem.empty() ? json(nullptr) : json(status.problem) },
        { "file", status.path },
        { "ramBytes", status.ram_bytes },
        { "bytesRead", status.bytes_read },
    };
}

json skip_to_json(const lossy_settings & settings) {
    return settings.skip_above.empty() ? json(nullptr) : json{ { "budget", settings.skip_budget ? json(*settings.skip_budget) : json(nullptr) }, { "above", settings.skip_above } };
}

json counters_to_json(const lossy_layer_counters & of) {
    return { { "assignments", of.assignments }, { "lowPrecision", of.low }, { "skipped", of.skipped }, { "bytesNotRead", of.bytes_not_read } };
}

}  // namespace

lossy_request lossy_parse(const json & wanted) {
    lossy_request request;
    parameters    source(wanted, "lossyExperts");
    if (const json * low = source.optional_object("lowPrecision")) {
        lossy_settings::low_precision settings;
        parameters                    fields(*low, "lossyExperts.lowPrecision");
        settings.type      = fields.optional_choice("type", low_precision_names()).value_or(settings.type);
        settings.above     = fields.optional_number("above", 0, 1).value_or(settings.above);
        settings.ram_share = fields.optional_number("ramShare", 0.01, 0.9).value_or(settings.ram_share);
        if (!fields.has("above")) {
            fields.refuse("above", "is missing: give the share of a token's gate weights, 0 to 1, above which an expert ranks so low that few bits do for it");
        }
        fields.finish();
        request.low = settings;
    }
    if (const json * skip = source.optional_object("skip")) {
        parameters fields(*skip, "lossyExperts.skip");
        request.skip_budget = fields.optional_number("budget", 0, 10);
        if (!request.skip_budget) {
            fields.refuse("budget", "is missing: give the harm that is put up with, nats per token (mean KL divergence of the next-token distribution)");
        }
        fields.finish();
    }
    source.finish();
    return request;
}

json lossy_request_to_json(const lossy_request & request) {
    json result = json::object();
    if (request.low) {
        result["lowPrecision"] = { { "type", request.low->type }, { "above", request.low->above }, { "ramShare", request.low->ram_share } };
    }
    if (request.skip_budget) {
        result["skip"] = { { "budget", *request.skip_budget } };
    }
    return result;
}

void apply_lossy(lossy_experts & experts, const lossy_request & request, const gguf_model & file, const expert_layout & full) {
    lossy_settings                    settings;
    std::optional<low_precision_file> copies;
    if (request.low) {
        settings.low = request.low;
        copies       = low_precision_file_of(file, full, request.low->type);
    }
    if (request.skip_budget) {
        settings.skip_budget = request.skip_budget;
        settings.skip_above  = skip_thresholds(sensitivity_read(sensitivity_path_of(file), layout_fingerprint(file, full)), *request.skip_budget);
    }
    experts.set(settings, copies);
}

json lossy_to_json(const lossy_experts & experts, const expert_layout & layout) {
    const lossy_status   status = experts.status();
    lossy_layer_counters sum;
    json                 layers = json::array();
    for (size_t i = 0; i < status.layers.size(); i++) {
        sum.add(status.layers[i]);
        sum.bytes_not_read += status.layers[i].bytes_not_read;
        layers.push_back(counters_to_json(status.layers[i]));
        layers.back()["layer"] = layout.layers[i].block;
    }
    if (status.settings.off() && sum.assignments == 0) {
        return nullptr;
    }
    json result                  = counters_to_json(sum);
    result["lowPrecisionCopies"] = low_to_json(status);
    result["skip"]   = skip_to_json(status.settings);
    result["layers"] = std::move(layers);
    return result;
}

}  // namespace moebius
