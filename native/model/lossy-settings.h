// What clients ask of the lossy modes for experts on disk (experts/lossy): LossyExperts of main/engine/expert-placement-protocol.ts.
#pragma once

#include "experts/lossy/lossy-experts.h"
#include "rpc/errors.h"

namespace moebius {

struct lossy_request {
    std::optional<lossy_settings::low_precision> low;
    std::optional<double>                        skip_budget;  // nats per token, see experts/lossy/sensitivity.h

    bool off() const { return !low && !skip_budget; }
};

// {lowPrecision?: {type?, above, ramShare?} | null, skip?: {budget} | null}. Throws request.invalid.
lossy_request lossy_parse(const json & wanted);
json          lossy_request_to_json(const lossy_request & request);

// Sets them for a model's experts. Throws request.invalid (no calibration, see `moebius calibrate`), model.does-not-fit, file.*.
void apply_lossy(lossy_experts & experts, const lossy_request & request, const gguf_model & file, const expert_layout & full);

// `lossy` of experts.status; null: nothing of it is on, nor was since the load.
json lossy_to_json(const lossy_experts & experts, const expert_layout & layout);

}  // namespace moebius
