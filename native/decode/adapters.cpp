#include "adapters.h"

#include <llama-adapter.h>

#include <atomic>
#include <cstdio>

namespace moebius {

namespace {

json adapter_to_json(const loaded_adapter & adapter) {
    json object       = adapter.content;
    object["adapter"] = adapter.id;
    return object;
}

// Exact: scales that differ in the last bit are different sets.
std::string key_of(int32_t id, float scale) {
    char text[48];
    std::snprintf(text, sizeof(text), "%d*%a ", int(id), double(scale));
    return text;
}

}  // namespace

void lora_deleter::operator()(llama_adapter_lora * adapter) const {
    delete adapter;
}

json adapter_table::add(std::shared_ptr<loaded_adapter> adapter) {
    static std::atomic<int32_t> last{ 0 };
    adapter->id = ++last;
    const std::lock_guard<std::mutex> lock(mutex);
    const loaded_adapter &            added = *adapters.emplace(adapter->id, std::move(adapter)).first->second;
    return adapter_to_json(added);
}

void adapter_table::remove(int32_t id) {
    std::shared_ptr<loaded_adapter>   removed;  // freed without the lock
    const std::lock_guard<std::mutex> lock(mutex);
    const auto                        found = adapters.find(id);
    if (found == adapters.end()) {
        throw user_error("adapter.not-found", "The model has no adapter " + std::to_string(id) + "; load it first.", { { "adapter", id } });
    }
    removed = std::move(found->second);
    adapters.erase(found);
}

json adapter_table::list() const {
    const std::lock_guard<std::mutex> lock(mutex);
    json                              all = json::array();
    for (const auto & [id, adapter] : adapters) {
        all.push_back(adapter_to_json(*adapter));
    }
    return all;
}

adapter_set adapter_table::set_of(const std::vector<asked_adapter> & asked) const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::map<int32_t, float>          scales;
    for (const asked_adapter & one : asked) {
        if (adapters.count(one.id) == 0) {
            throw user_error("adapter.not-found", "The model has no adapter " + std::to_string(one.id) + "; load it first, or leave it out of the request.",
                             { { "adapter", one.id } });
        }
        if (one.scale != 0) {
            scales[one.id] = one.scale;
        }
    }
    adapter_set set;
    for (const auto & [id, scale] : scales) {
        set.uses.push_back({ adapters.at(id), scale });
        set.key += key_of(id, scale);
    }
    return set;
}

}  // namespace moebius
