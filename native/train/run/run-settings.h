// What a training run is to do, as `train.open` is told it (main/engine/train-protocol.ts).
#pragma once

#include "train/adapter/new-adapter.h"
#include "train/descent/optimiser.h"
#include "train/data/packed-batch.h"
#include "train/descent/schedule.h"
#include "train/pass/pass.h"

#include "preference.h"
#include "router-settings.h"

#include <optional>

namespace moebius {

enum class train_objective { next_token, dpo };

// Room for routed experts on a device.
struct expert_device_settings {
    std::string            device;  // id of `devices.list`
    std::optional<int64_t> slots;   // experts of a layer that it may have copies of
    uint64_t               bytes = UINT64_MAX;  // most for their frozen matrices
};

struct device_settings {
    std::vector<expert_device_settings> experts;  // none: all of them on the CPU, which computes the rest
    std::optional<uint64_t>             activation_bytes;  // as pass_devices has it
    uint64_t                            reserved_bytes = 0;  // of RAM, for what runs beside it
};

struct run_settings {
    std::string            model;  // path of the base, GGUF
    std::string            data;   // folder of an encoded dataset made for it
    adapter_settings       adapter;
    optimiser_settings     optimiser;
    double                 b_rate_factor = 1;  // see usual_parameter_settings
    learning_rate_schedule schedule;
    router_loss_factors    router_losses;
    router_settings        routers;
    train_objective        objective        = train_objective::next_token;
    preference_settings    preference;
    target_weighting       weighting        = target_weighting::tokens;
    uint64_t               batch_tokens     = 2048;  // of one pass
    int64_t                batches_per_step = 1;     // whose gradients are added up
    double                 clip             = 1;     // largest norm of a step's gradients; 0: any, as of sgd unless it is asked for
    uint64_t               seed             = 1;     // of the order of examples, of new adapters, and of what steps draw
    int                    threads          = 1;
    device_settings        devices;
};

// has_data: else they may be without any. Throws user_error request.invalid, which names the setting.
run_settings run_settings_of(const json & wanted, bool has_data = true);

// What check_router_settings needs to know of them.
routed_run routed_run_of(const run_settings & how);

// Throws device.not-found, device.unreachable, and request.invalid: there are too few slots for `experts` in all. Unless said, one device has slots for all, several for a quarter more than all.
pass_devices pass_devices_of(const device_settings & wanted, int threads, int64_t experts);

}  // namespace moebius
