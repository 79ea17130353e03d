// What this program knows of llama.cpp's RPC protocol beyond its interface: enough to answer in place of a machine that is gone.
// ggml's RPC client ends the process when an answer is missing; so it always gets one, and remote_link tells that it means nothing.
#pragma once

#include <ggml-backend.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

// The commands' numbers that the transport has to know.
bool rpc_is_hello(uint8_t command);
// It has no answer, and nobody can tell when the machine gets it before the next command.
bool rpc_may_wait(uint8_t command);

// Bytes of the answer to a request. `request` is what was sent with it.
uint64_t rpc_answer_bytes(uint8_t command, const std::vector<uint8_t> & request);

// A whole answer of a machine that has nothing: no device, no memory, zeros for data.
void rpc_stand_in(uint8_t command, void * answer, size_t bytes);

// Empty: the machine that said so can be used, else why not.
std::string rpc_hello_problem(const void * answer);

// Connects. 0: it cannot be used; the link says why.
uint32_t rpc_device_count(const std::string & endpoint);

// Devices of a machine that has some, with names that tell the machine: RPC0@host:port. The same ones for one endpoint, for the life of the process; empty: lost meanwhile.
std::vector<ggml_backend_dev_t> rpc_devices(const std::string & endpoint);

}  // namespace moebius
