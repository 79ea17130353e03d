// A model's experts in fewer bits: all of them in a file beside the model, which is made once, and some of them in RAM of their own.
#pragma once

#include "experts/dispatch/expert-ffn.h"
#include "experts/store/expert-store.h"

namespace moebius {

// Where they are, or will be.
struct low_precision_file {
    std::string   type;  // of low_precision_names()
    std::string   path;
    std::string   fingerprint;  // of the model that they are of, and of the type
    expert_layout layout;       // low_precision_layout of the model's; `file` and `offset` are the originals'
};

// Throws file.unreadable, and request.invalid if the CPU has no kernels for the types.
low_precision_file low_precision_file_of(const gguf_model & file, const expert_layout & full, const std::string & type);

// Whether it is there, whole, and of this model.
bool low_precision_file_usable(const low_precision_file & file);

// Makes it; see layout_write_low.
uint64_t low_precision_file_write(const low_precision_file & file, const expert_layout & full, const std::function<bool(uint64_t, uint64_t)> & go_on);

class low_precision_copies {
  public:
    // Of a usable file; reads as many as `ram_bytes` hold. Throws file.*, model.does-not-fit.
    low_precision_copies(low_precision_file file, uint64_t ram_bytes);

    const low_precision_file file;
    expert_store             store;
    expert_ffn               ffn;  // of one batch at a time; hold store.session
};

}  // namespace moebius
