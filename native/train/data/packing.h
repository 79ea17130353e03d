// Sequence packing: which examples share a batch, and where a run is in its data.
#pragma once

#include "dataset-file.h"

#include <functional>

namespace moebius {

struct packing_settings {
    uint64_t batch_tokens = 2048;  // most tokens of a batch
    uint64_t look_ahead   = 64;    // examples among which the one that fits best is sought, 1 to 65536; 1: strictly in order
    uint64_t seed         = 1;
    bool     is_shuffled  = true;  // each epoch in its epoch_order; false: in the order of the file
};

// What packing knows of a dataset.
struct packing_source {
    uint64_t                           examples = 0;
    uint64_t                           longest  = 0;  // tokens
    std::function<uint64_t(uint64_t)> tokens_of;     // of example i; a pair counts as one example of both its sequences
};

packing_source packing_source_of(dataset_file & data);  // data must outlive it

// Batches after a cursor are those of the run that had it.
struct packing_cursor {
    uint64_t              epoch = 0;
    uint64_t              next  = 0;  // position in the epoch's order of the example that is looked at next
    std::vector<uint64_t> waiting;    // positions before `next` that no batch has had yet, ascending

    json           to_json() const;
    static packing_cursor from_json(const json & value);  // throws user_error file.corrupt
};

// Fills batches with whole examples: the one that waits longest opens a batch, then the longest of the look-ahead that fits is added until none does (best
// fit; of equals the one that waits longer). So none waits for more than look_ahead batches. Each epoch has each example once; no batch has examples of two.
class packing {
  public:
    // Throws user_error request.invalid: no examples, one that is longer than a batch, a look-ahead out of range.
    packing(const packing_settings & settings, packing_source source);

    // Numbers of the examples in the next batch, in the order in which they are to lie. Never empty, never ends. Throws what tokens_of throws.
    std::vector<uint64_t> next();

    // Before the batch that comes next. An epoch has ended when its `epoch` goes up.
    packing_cursor cursor() const;
    // Throws user_error request.invalid: a cursor that these settings and examples cannot have given; what tokens_of throws.
    void restore(const packing_cursor & cursor);

  private:
    struct waiting_example {
        uint64_t position, example, tokens;
    };

    waiting_example look_at(uint64_t position) const;
    void            look_ahead();
    void            end_epoch_if_done();
    // end(): none fits
    std::vector<waiting_example>::iterator best_fit(uint64_t room);

    packing_settings             settings;
    packing_source               source;
    uint64_t                     epoch = 0, position = 0;
    std::vector<waiting_example> waiting;  // ascending by position
};

}  // namespace moebius
