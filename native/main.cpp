// moebius-engine: see README.md.
#include "model/backends.h"
#include "model/host.h"
#include "model/llama-log.h"
#include "model/methods.h"
#include "rpc/log.h"
#include "rpc/pipes.h"
#include "rpc/server.h"
#include "train/run/methods.h"

#include <cstdlib>

int main() {
    using namespace moebius;
    host_return_freed_memory();
    const protocol_pipes pipes = protocol_open();
    llama_log_install();

    writer out(pipes.output, [] {
        log_write(log_level::error, "the reader of stdout is gone");
        std::_Exit(1);
    });
    const backend_set backends = backends_load();
    model_registry    registry(out);
    dispatcher        methods(out);
    add_methods(methods, registry, backends);
    add_train_methods(methods);
    server conversation(pipes.input, out, methods, [&] { registry.clear(); });
    return conversation.run();
}
