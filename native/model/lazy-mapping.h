// While it lives, llama.cpp maps model files without reading them.
//
// llama.cpp populates its mapping of a whole file (MAP_POPULATE, WILLNEED), experts included, unless it believes to be on a NUMA
// machine, where first touch places the pages. It asks the CPU backend's registry; this answers yes.
#pragma once

#include <mutex>

namespace moebius {

class lazy_mapping {
  public:
    lazy_mapping();
    ~lazy_mapping();
    lazy_mapping(const lazy_mapping &)             = delete;
    lazy_mapping & operator=(const lazy_mapping &) = delete;

  private:
    std::unique_lock<std::mutex> only;
};

}  // namespace moebius
