// The loaded models of this process. Thread-safe.
#pragma once

#include "estimate.h"
#include "loaded-model.h"
#include "rpc/dispatcher.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

namespace moebius {

// A model that cannot be freed while this lives. Keep it for a call, not for a generation.
class model_lease {
  public:
    model_lease(std::shared_ptr<loaded_model> model, std::shared_lock<std::shared_mutex> lock)
        : model(std::move(model)), lock(std::move(lock)) {}

    loaded_model * operator->() const { return model.get(); }
    loaded_model & operator*() const { return *model; }

  private:
    std::shared_ptr<loaded_model>       model;
    std::shared_lock<std::shared_mutex> lock;
};

class model_registry {
  public:
    explicit model_registry(output & out) : out(out) {}
    ~model_registry() { clear(); }

    // Loads and gives a LoadedModel object. `options` may be null, or ask for the vocabulary alone (options.h). Runs on a job thread; several loads may run at once.
    // Throws file.*, model.*, device.not-found, request.invalid, cancelled.
    json load(call & request, const std::string & path, const json * options, std::optional<std::string> progress_token);

    // Cancels the model's generations and frees it. Throws model.not-loaded.
    void unload(int32_t id);

    json        list() const;
    // Throws model.not-loaded; request.invalid of a model that was loaded for its vocabulary alone.
    model_lease lease(int32_t id) const;
    // For what its vocabulary and templates are enough for. Throws model.not-loaded.
    model_lease lease_texts(int32_t id) const;

    // Reader thread; never wait for a load or unload.
    int  running() const;
    void cancel(const json & request_id);

    void clear();

    // A load or a measurement: somebody waits for it, and work in the background gives way to it.
    class errand {
      public:
        explicit errand(model_registry & registry) : of(registry) { of.errands++; }
        ~errand() { of.errands--; }
        errand(const errand &)             = delete;
        errand & operator=(const errand &) = delete;

      private:
        model_registry & of;
    };

    // Nothing is generated, and nobody is on an errand.
    bool idle() const { return errands == 0 && running() == 0; }

  private:
    // what running loads will still take of a device
    struct promise {
        uint64_t free_before = 0;  // bytes that were free when the first of them began
        uint64_t bytes       = 0;  // of all of them
        int      loads       = 0;
    };
    class reservation;

    void load_whole(loaded_model & loaded, const gguf_model & file, const json * options, call & request, load_progress & progress);

    std::shared_ptr<loaded_model>              find(int32_t id) const;
    std::vector<std::shared_ptr<loaded_model>> all() const;
    static void                                release(loaded_model & model);

    output &                                         out;
    mutable std::mutex                               mutex;  // guards the fields below
    std::map<int32_t, std::shared_ptr<loaded_model>> models;
    int32_t                                          next_id = 1;
    std::atomic<int>                                 errands{ 0 };
    std::map<std::string, promise>                   promises;  // by device id
};

}  // namespace moebius
