// A model in memory, and how it gets there.
#pragma once

#include "decode/decoder.h"
#include "experts/backend/loaded-experts.h"
#include "experts/backend/whole-experts.h"
#include "gguf-file.h"
#include "load-progress.h"
#include "options.h"

#include <llama-cpp.h>

#include <memory>
#include <shared_mutex>
#include <string>

namespace moebius {

struct loaded_model {
    int32_t                         id = 0;
    std::string                     path;
    json                            inspection;
    load_options                    options;
    json                            memory;  // per device, as LoadedModel has it
    double                          load_ms   = 0;
    bool                            telemetry = false;
    std::unique_ptr<loaded_experts> experts;  // null: they are in `model` like other weights
    std::unique_ptr<whole_experts>  whole;    // null: `experts` has them; outlives `model`, too
    llama_model_ptr                 model;
    std::unique_ptr<model_texts>    texts;   // null: it is being freed
    std::unique_ptr<decoder>        engine;  // null, too, of a model that was opened for its vocabulary alone; destroyed before `texts`, these before `model`
    std::shared_mutex               in_use;  // shared: someone calls into model or engine; exclusive: they are being freed
};

// Reads the weights and makes the context; fills in model, engine, memory and telemetry of `plan`, whose path, inspection
// and options are given. The caller has checked that it fits. Throws model.*, cancelled.
void load_weights(loaded_model & plan, const gguf_model & file, load_progress & progress, output & out);

// Opens it for its vocabulary and chat templates alone, and fills in model and texts: no weights are read, and no device is used. Throws model.*, cancelled.
void load_vocabulary(loaded_model & plan, const gguf_model & file, load_progress & progress);

json loaded_model_to_json(const loaded_model & model);  // a LoadedModel object

}  // namespace moebius
