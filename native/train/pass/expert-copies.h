// Copies of a model's routed experts on one device: frozen matrices slot by slot, and beside them what is trained of these experts.
//
// Frozen matrices of some layers stay on the device; those of the others share room for two layers and are read when a layer is next, while the one before it computes: from the disk, or from
// what memory the system has for files. A pass goes up through the layers and down again, so neighbours have the two rooms in turn and the topmost is read once for both.
#pragma once

#include "train/adapter/adapter.h"
#include "train/base/base-shape.h"
#include "train/base/expert-tensors.h"
#include "train/base/tensor-reader.h"
#include "train/graph/ops-experts.h"
#include "train/graph/runner.h"

#include <future>
#include <optional>

namespace moebius {

struct copies_room {
    ggml_backend_dev_t device = nullptr;
    int64_t            slots  = 0;           // experts of a layer
    uint64_t           bytes  = UINT64_MAX;  // most for frozen matrices; as many layers stay as fit
};

// A layer's matrices as ops take them, with stacks of slots, and which expert's a slot is.
struct placed_experts {
    expert_ffn                   ffn;
    const std::vector<int32_t> & experts;  // [slots], -1: nobody's
};

struct adapter_indices {
    size_t a = 0, b = 0;
};

// Bytes that were written to a device.
struct copies_traffic {
    uint64_t frozen = 0, adapters = 0;
};

class expert_copies {
  public:
    // Slots are nobody's yet. Throws user_error model.does-not-fit (with the least bytes), model.unsupported.
    expert_copies(const gguf_model & file, const base_shape & shape, const adapter & of, const copies_room & room);
    ~expert_copies();
    expert_copies(const expert_copies &)             = delete;
    expert_copies & operator=(const expert_copies &) = delete;

    // Which experts of a layer are here from now on: at most `slots` of [experts]. Those that stay keep their slots. Trained numbers are missing until write().
    void place(int64_t layer, const std::vector<bool> & experts);

    // Trained numbers of the experts that are here.
    void write(const adapter & of);

    // Waits for the layer's frozen matrices; `next`'s are then read while this one computes (-1: none are). trains: see expert_matrices. Throws file.unreadable.
    placed_experts use(int64_t layer, int64_t next, bool trains);

    const std::vector<int32_t> & slot_of(int64_t layer) const { return layers[size_t(layer)].slot_of; }  // [experts], -1: not here
    // Of adapter::parameters; part: 0 gate, 1 up, 2 down, of those that have adapters.
    adapter_indices indices_of(int64_t layer, size_t part) const { return layers[size_t(layer)].stacks[part].indices; }

    // Where in these parameters an expert's matrices are, -1: it is not adapted.
    int32_t matrix_of(int64_t layer, size_t part, int32_t expert) const { return layers[size_t(layer)].stacks[part].matrix_of[size_t(expert)]; }

    float dropout_of(int64_t layer, size_t part) const { return layers[size_t(layer)].stacks[part].dropout; }  // part: as above

    ggml_backend_dev_t     device() const { return room.device; }
    bool                   all_stay() const { return areas.size() == layers.size(); }  // nothing is read again
    const copies_traffic & traffic() const { return written; }

  private:
    // One of gate, up and down.
    struct stack {
        const gguf_tensor *  from  = nullptr;
        ggml_tensor *        here  = nullptr;  // [n_in, n_out, slots]
        ggml_tensor *        a     = nullptr;  // adapters [n_in, r, as many as may be here]; null: none
        ggml_tensor *        b     = nullptr;
        float                scale = 1, dropout = 0;
        adapter_indices      indices;
        std::vector<int32_t> matrix_of;  // [experts] in the parameters, -1: not adapted; empty: none is
        std::vector<int32_t> place_of;   // [slots] the same in a and b
    };
    struct layer_copies_of {
        std::array<stack, 3> stacks;
        std::vector<int32_t> experts, slot_of;  // wanted
        size_t               area = 0;
    };
    // Memory of one layer's frozen matrices, and whose they are now.
    struct area {
        ggml_backend_buffer_ptr buffer;
        int64_t                 layer = -1;
        std::vector<int32_t>    experts;  // [slots]
    };
    // A matrix that has to be read.
    struct missing {
        const stack * of   = nullptr;
        int32_t       slot = 0, expert = 0;
    };
    struct fetched {
        int64_t                           layer = -1;
        std::vector<missing>              what;
        std::vector<std::vector<uint8_t>> bytes;  // [what]; of memory that only the device reaches
    };

    void                 make_stacks(const gguf_model & file, const adapter & of, int64_t layers);
    void                 make_areas();
    void                 give_memory(area & to, layer_copies_of & of) const;
    std::vector<missing> missing_of(int64_t layer) const;
    fetched              fetch(int64_t layer, std::vector<missing> what);  // reads
    void                 take(fetched && what);                           // and they are there
    void                 finish_reading();

    const copies_room            room;
    tensor_reader                reader;
    train_tensors                adapters;
    ggml_context_ptr             frozen;
    std::vector<layer_copies_of> layers;
    std::vector<area>            areas;
    copies_traffic               written;
    std::future<fetched>         reading;  // valid: under way
};

}  // namespace moebius
