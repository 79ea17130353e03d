// How many bytes of a batch's activations are kept from the forward to the backward pass, instead of being computed again.
#pragma once

#include "train/graph/tape-job.h"

namespace moebius {

class activation_budget {
  public:
    explicit activation_budget(uint64_t bytes) : left(bytes) {}

    bool is_open() const { return left > 0; }

    // Whether a tape has room, which it then takes and lies in `memory`; what that holds for nobody is given back. After the first that has none, nobody asks again.
    template <typename T> bool take(T & tape, graph_memory & memory) {
        const uint64_t bytes = std::max<uint64_t>(tape.needed(), memory.held());
        if (bytes > left) {
            memory.release();
            left = 0;
            return false;
        }
        left -= bytes;
        all += bytes;
        tape.lie_in(memory);
        return true;
    }

    uint64_t taken() const { return all; }

  private:
    uint64_t left, all = 0;
};

}  // namespace moebius
