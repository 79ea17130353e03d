#include "registry.h"

#include "devices.h"
#include "inspect.h"
#include "load-progress.h"
#include "remote/link.h"

#include <chrono>

namespace moebius {

namespace {

user_error not_loaded(int32_t id) {
    return user_error("model.not-loaded", "No model with handle " + std::to_string(id) + " is loaded; load it first.", { { "model", id } });
}

}  // namespace

// Several loads may be past their check at once, before any of them has taken its memory: each counts on what was free when
// the first began, less what the others were promised. Throws model.does-not-fit.
class model_registry::reservation {
  public:
    reservation(model_registry & registry, memory_estimate estimate, const std::string & path) : registry(registry) {
        const std::lock_guard<std::mutex> lock(registry.mutex);
        for (device_estimate & device : estimate.devices) {
            const promise & others = registry.promises[device.id];
            if (others.loads > 0) {
                device.free = others.free_before - std::min(others.free_before, others.bytes);
            }
        }
        refuse_unless_fits(estimate, path);
        for (const device_estimate & device : estimate.devices) {
            promise & all = registry.promises[device.id];
            if (all.loads == 0) {
                all.free_before = device.free;
            }
            all.loads++;
            all.bytes += device.memory.sum();
        }
        devices = std::move(estimate.devices);
    }

    ~reservation() {
        const std::lock_guard<std::mutex> lock(registry.mutex);
        for (const device_estimate & device : devices) {
            promise & all = registry.promises[device.id];
            all.loads--;
            all.bytes -= device.memory.sum();
        }
    }

  private:
    model_registry &             registry;
    std::vector<device_estimate> devices;
};

json model_registry::load(call & request, const std::string & path, const json * options, std::optional<std::string> progress_token) {
    const auto    start = std::chrono::steady_clock::now();
    const errand  loading(*this);
    load_progress progress(request, std::move(progress_token));
    progress.report("validate", 0);
    const gguf_model file   = gguf_open(path);
    const auto       loaded = std::make_shared<loaded_model>();
    loaded->path            = file.files.front();
    loaded->inspection      = inspect_model(file);
    if (options_vocabulary_only(options)) {
        load_vocabulary(*loaded, file, progress);
    } else {
        load_whole(*loaded, file, options, request, progress);
    }
    loaded->load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();

    const std::lock_guard<std::mutex> lock(mutex);
    loaded->id         = next_id++;
    models[loaded->id] = loaded;
    return loaded_model_to_json(*loaded);
}

void model_registry::load_whole(loaded_model & loaded, const gguf_model & file, const json * options, call & request, load_progress & progress) {
    loaded.options = options_parse(options, loaded.inspection);
    request.throw_if_cancelled();
    const auto devices = gpu_devices(loaded.options.devices);
    try {
        refuse_hopeless(file, loaded.inspection, loaded.options);
        const reservation reserved(*this, fit_experts(file, loaded.inspection, loaded.options), loaded.path);
        request.throw_if_cancelled();
        load_weights(loaded, file, progress, out);
    } catch (const user_error &) {
        remote_check(devices);  // the better reason
        throw;
    }
}

std::shared_ptr<loaded_model> model_registry::find(int32_t id) const {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto                        found = models.find(id);
    return found == models.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<loaded_model>> model_registry::all() const {
    const std::lock_guard<std::mutex>          lock(mutex);
    std::vector<std::shared_ptr<loaded_model>> result;
    for (const auto & [id, model] : models) {
        result.push_back(model);
    }
    return result;
}

model_lease model_registry::lease_texts(int32_t id) const {
    const auto model = find(id);
    if (model) {
        std::shared_lock<std::shared_mutex> lock(model->in_use, std::try_to_lock);
        if (lock.owns_lock() && model->texts) {
            return model_lease(model, std::move(lock));
        }
    }
    throw not_loaded(id);
}

model_lease model_registry::lease(int32_t id) const {
    model_lease lease = lease_texts(id);
    if (!lease->engine) {
        throw user_error("request.invalid", "The model with handle " + std::to_string(id) + " was loaded for its vocabulary alone and has no weights: load it without vocabularyOnly for this.",
                         { { "model", id } });
    }
    return lease;
}

// Waits for calls under way, then cancels the generations and frees.
void model_registry::release(loaded_model & model) {
    const std::unique_lock<std::shared_mutex> lock(model.in_use);
    model.engine.reset();
    model.texts.reset();
    model.model.reset();
    model.experts.reset();
    model.whole.reset();
}

void model_registry::unload(int32_t id) {
    std::shared_ptr<loaded_model> model;
    {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto                        found = models.find(id);
        if (found == models.end()) {
            throw not_loaded(id);
        }
        model = found->second;
        models.erase(found);
    }
    release(*model);
}

json model_registry::list() const {
    json models = json::array();
    for (const auto & model : all()) {
        models.push_back(loaded_model_to_json(*model));
    }
    return { { "models", std::move(models) } };
}

int model_registry::running() const {
    int count = 0;
    for (const auto & model : all()) {
        const std::shared_lock<std::shared_mutex> lock(model->in_use, std::try_to_lock);
        if (lock.owns_lock() && model->engine) {
            count += model->engine->running();
        }
    }
    return count;
}

void model_registry::cancel(const json & request_id) {
    for (const auto & model : all()) {
        const std::shared_lock<std::shared_mutex> lock(model->in_use, std::try_to_lock);
        if (lock.owns_lock() && model->engine && model->engine->cancel(request_id)) {
            return;
        }
    }
}

void model_registry::clear() {
    for (const auto & model : all()) {
        try {
            unload(model->id);
        } catch (const user_error &) {
            // another thread was faster
        }
    }
}

}  // namespace moebius
