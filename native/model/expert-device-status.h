// Experts on devices, as `experts.status` and `experts.configure` of the protocol tell and change them.
#pragma once

#include "options.h"

namespace moebius {

class device_dispatch;

json expert_devices_to_json(const device_dispatch & devices);  // an ExpertDevices object

// Gives the devices of `wanted` other budgets, the rest keep theirs. Throws request.invalid (a device that the model was not loaded with),
// model.does-not-fit.
void resize_expert_devices(device_dispatch & devices, const std::vector<expert_budget> & wanted);

}  // namespace moebius
