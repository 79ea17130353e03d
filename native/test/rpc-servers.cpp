#include "rpc-servers.h"

#include "remote/machines.h"

#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char ** environ;

namespace moebius_test {

namespace {

// The port that the server names on its output.
std::string port_of(int pipe) {
    std::string text;
    char        next;
    while (read(pipe, &next, 1) == 1) {
        text += next;
        const size_t line = text.find("Listening on 127.0.0.1:");
        if (line != std::string::npos && next == '\n') {
            return text.substr(text.rfind(':') + 1, text.size() - text.rfind(':') - 2);
        }
    }
    throw std::runtime_error("an rpc-server did not start: " + text);
}

}  // namespace

rpc_servers::rpc_servers(int count, uint64_t memory) {
    for (int i = 0; i < count; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            throw std::runtime_error(std::strerror(errno));
        }
        std::vector<std::string> words{ MOEBIUS_RPC_SERVER, "--port", "0", "--threads", "1", "--device", "CPU" };
        if (memory > 0) {
            words.insert(words.end(), { "--memory", std::to_string(memory) });
        }
        std::vector<char *> arguments;
        for (std::string & word : words) {
            arguments.push_back(word.data());
        }
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        server    made;
        const int error = posix_spawn(&made.process, MOEBIUS_RPC_SERVER, &actions, nullptr, arguments.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        if (error != 0) {
            close(ends[0]);
            throw std::runtime_error(std::string(MOEBIUS_RPC_SERVER) + ": " + std::strerror(error));
        }
        servers.push_back(made);
        servers.back().endpoint = "127.0.0.1:" + port_of(ends[0]);
        // the reading end stays open: a server that finds it closed would end
    }
}

rpc_servers::~rpc_servers() {
    for (int i = 0; i < int(servers.size()); i++) {
        kill(i);
    }
}

std::vector<ggml_backend_dev_t> rpc_servers::devices() const {
    for (const server & each : servers) {
        moebius::remote_add(each.endpoint);
    }
    const auto all = moebius::remote_devices();
    return { all.end() - ptrdiff_t(servers.size()), all.end() };
}

void rpc_servers::kill(int i) {
    int & process = servers[size_t(i)].process;
    if (process > 0) {
        ::kill(process, SIGKILL);
        waitpid(process, nullptr, 0);
        process = -1;
    }
}

void rpc_servers::pause(int i) {
    ::kill(servers[size_t(i)].process, SIGSTOP);
}

void rpc_servers::resume(int i) {
    ::kill(servers[size_t(i)].process, SIGCONT);
}

}  // namespace moebius_test
