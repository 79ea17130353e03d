#include "cpu-kernels.h"

#include <ggml-backend-impl.h>

#include <cmath>

#if defined(_WIN32)
#    include "experts/store/windows-api.h"
#else
#    include <dlfcn.h>
#endif

namespace moebius {

namespace {

// Where the CPU backend hides its vectorised one: equal to a few units in the last place.
void swiglu_plain(int n, float * y, const float * x, const float * g) {
    for (int i = 0; i < n; i++) {
        y[i] = x[i] / (1.0f + std::exp(-x[i])) * g[i];
    }
}

// A symbol of the library that the CPU backend is in: it was loaded privately, so a search by name alone does not find it.
void * symbol_of_cpu_backend(const char * name) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!device) {
        return nullptr;
    }
    void * inside = reinterpret_cast<void *>(device->iface.get_name);
#if defined(_WIN32)
    HMODULE library = nullptr;
    if (!GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            static_cast<LPCSTR>(inside), &library)) {
        return nullptr;
    }
    return reinterpret_cast<void *>(GetProcAddress(library, name));
#else
    Dl_info where{};
    if (!dladdr(inside, &where) || !where.dli_fname) {
        return nullptr;
    }
    void * library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    return library ? dlsym(library, name) : nullptr;  // the reference is kept: the backend stays loaded anyway
#endif
}

cpu_kernels find_kernels() {
    cpu_kernels kernels;
    kernels.traits = reinterpret_cast<decltype(kernels.traits)>(symbol_of_cpu_backend("ggml_get_type_traits_cpu"));
    kernels.swiglu = reinterpret_cast<swiglu_kernel>(symbol_of_cpu_backend("ggml_vec_swiglu_f32"));
    kernels.swiglu = kernels.swiglu ? kernels.swiglu : swiglu_plain;
    return kernels;
}

}  // namespace

const cpu_kernels & cpu_kernels_get() {
    static const cpu_kernels kernels = find_kernels();
    return kernels;
}

}  // namespace moebius
