// User errors: what a caller of the engine can cause or suffer. Programmer errors are asserts.
#pragma once

#include <nlohmann/json.hpp>

#include <stdexcept>
#include <string>

namespace moebius {

using json = nlohmann::ordered_json;

// Every code that the engine raises; each is in main/contract/errors.ts too.
inline constexpr const char * error_codes[] = {
    "request.invalid",
    "request.unknown-method",
    "prompt.empty",
    "prompt.too-long",
    "sampling.invalid",
    "grammar.invalid",
    "template.failed",
    "file.not-found",
    "file.unreadable",
    "file.unwritable",
    "file.not-gguf",
    "file.truncated",
    "file.corrupt",
    "file.version",
    "file.split-incomplete",
    "model.unsupported",
    "model.not-loaded",
    "model.load-failed",
    "model.does-not-fit",
    "adapter.not-found",
    "disk.full",
    "device.not-found",
    "device.unreachable",
    "device.lost",
    "context.full",
    "decode.failed",
    "generation.duplicate",
    "engine.version",
    "cancelled",
    "internal",
};

// code: one of error_codes. message: what happened, the numbers, what to do. details: the numbers again.
struct user_error : std::runtime_error {
    std::string code;
    json        details;

    user_error(std::string code, const std::string & message, json details = json::object())
        : std::runtime_error(message), code(std::move(code)), details(std::move(details)) {}
};

// JSON-RPC's numbers, `error.code` on the wire
enum rpc_number : int {
    rpc_parse_error      = -32700,
    rpc_invalid_request  = -32600,
    rpc_unknown_method   = -32601,
    rpc_invalid_params   = -32602,
    rpc_internal_error   = -32603,
    rpc_not_initialized  = -32002,
    rpc_cancelled        = -32800,
    rpc_catalogue        = -32000,
};

// The number that stands for a code of the catalogue.
rpc_number rpc_number_of(const std::string & code);

// A whole JSON-RPC error response. `id` is null when the request's id could not be read.
json rpc_error_message(const json & id, rpc_number number, const user_error & error);

}  // namespace moebius
