// Whose turn it is. llama.cpp applies adapters to whole batches, so requests with different sets of them cannot share one, and each
// change of the set plans the graph anew. Pure: no llama.cpp here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace moebius {

class adapter_turns {
  public:
    // The set (adapter_set::key) that computes next, of those that running requests have: at least one, each once. A set keeps its turn while it has
    // requests and others wait no longer than a turn; then comes the set whose last turn is the longest ago.
    std::string next(const std::vector<std::string> & wanted, int64_t now_us);

    // Changing to a set took this long: turns are long enough that changes cost at most a tenth of the time.
    void changed(int64_t took_us);

  private:
    int64_t turn_us() const;

    std::string                     current;
    bool                            begun    = false;
    int64_t                         began_us = 0;
    uint64_t                        count    = 0;
    std::map<std::string, uint64_t> last;  // turn of each set that still has requests
    double                          change_us = 0;  // smoothed; 0: not known yet
};

}  // namespace moebius
