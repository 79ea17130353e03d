// LoRA adapters of a loaded model, which requests switch on and off.
#pragma once

#include "rpc/errors.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

struct llama_adapter_lora;

namespace moebius {

struct lora_deleter {
    void operator()(llama_adapter_lora * adapter) const;
};

// In memory, on the devices of the model. Unchanged once it is in a table; llama.cpp wants it not const all the same.
struct loaded_adapter {
    int32_t                                           id = 0;   // unique for the life of the process
    json                                              content;  // LoadedAdapter of main/engine/adapter-protocol.ts, without `adapter`
    std::set<int32_t>                                 expert_blocks;  // blk.N whose routed experts it changes
    std::unique_ptr<llama_adapter_lora, lora_deleter> lora;
};

// As a request names them.
struct asked_adapter {
    int32_t id    = 0;
    float   scale = 1;
};

// What is on, in the order of ids and without zero scales.
struct adapter_set {
    struct use {
        std::shared_ptr<loaded_adapter> adapter;
        float                           scale;
    };
    std::vector<use> uses;
    std::string      key;  // equal: the same adapters at the same scales; empty: none
};

// The adapters of one model. Thread-safe.
class adapter_table {
  public:
    // Gives the adapter its id. Gives its LoadedAdapter object.
    json add(std::shared_ptr<loaded_adapter> adapter);

    // Requests that have it keep it. Throws adapter.not-found.
    void remove(int32_t id);

    json list() const;

    // Throws adapter.not-found.
    adapter_set set_of(const std::vector<asked_adapter> & asked) const;

  private:
    mutable std::mutex                                  mutex;
    std::map<int32_t, std::shared_ptr<loaded_adapter>> adapters;
};

}  // namespace moebius
