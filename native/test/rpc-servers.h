// Other machines for tests: rpc-servers on free loopback ports, each a GPU-type device at the CPU's speed.
#pragma once

#include <ggml-backend.h>

#include <string>
#include <vector>

namespace moebius_test {

class rpc_servers {
  public:
    // Starts `count` processes; each computes on one thread and lends `memory` bytes at most (0: all there are). Throws std::runtime_error.
    explicit rpc_servers(int count, uint64_t memory = 0);
    ~rpc_servers();  // kills them

    const std::string & endpoint(int i) const { return servers[size_t(i)].endpoint; }

    // The device of each, added to this process. start_llama() first.
    std::vector<ggml_backend_dev_t> devices() const;

    void kill(int i);   // as a machine that lost its power; waits for its end
    void pause(int i);  // as a machine that hangs
    void resume(int i);

  private:
    struct server {
        int         process = -1;
        std::string endpoint;
    };
    std::vector<server> servers;
};

}  // namespace moebius_test
