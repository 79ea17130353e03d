#include "lazy-mapping.h"

#include <ggml-backend-impl.h>

#include <cstring>

namespace moebius {

namespace {

using lookup = void * (*) (ggml_backend_reg_t, const char *);

std::mutex one_at_a_time;
lookup     original = nullptr;

bool yes() {
    return true;
}

void * answer(ggml_backend_reg_t registry, const char * name) {
    return std::strcmp(name, "ggml_backend_cpu_is_numa") == 0 ? reinterpret_cast<void *>(yes) : original(registry, name);
}

ggml_backend_reg_t cpu_registry() {
    return ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
}

}  // namespace

lazy_mapping::lazy_mapping() : only(one_at_a_time) {
    original                               = cpu_registry()->iface.get_proc_address;
    cpu_registry()->iface.get_proc_address = answer;
}

lazy_mapping::~lazy_mapping() {
    cpu_registry()->iface.get_proc_address = original;
}

}  // namespace moebius
