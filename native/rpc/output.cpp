#include "output.h"

namespace moebius {

rpc_number rpc_number_of(const std::string & code) {
    if (code == "request.invalid") {
        return rpc_invalid_params;
    }
    if (code == "request.unknown-method") {
        return rpc_unknown_method;
    }
    if (code == "cancelled") {
        return rpc_cancelled;
    }
    if (code == "internal") {
        return rpc_internal_error;
    }
    return rpc_catalogue;
}

json rpc_error_message(const json & id, rpc_number number, const user_error & error) {
    return {
        { "jsonrpc", "2.0" },
        { "id", id },
        { "error",
          { { "code", int(number) },
            { "message", error.what() },
            { "data", { { "code", error.code }, { "details", error.details } } } } },
    };
}

void output::notify_progress(const std::string & token, double fraction, const char * stage) {
    send_message({
        { "jsonrpc", "2.0" },
        { "method", "$/progress" },
        { "params", { { "token", token }, { "fraction", fraction }, { "stage", stage } } },
    });
}

void output::send_frames(std::vector<std::vector<uint8_t>> && frames) {
    for (std::vector<uint8_t> & frame : frames) {
        send_frame(std::move(frame));
    }
}

void output::reply(const json & id, json result) {
    send_message({ { "jsonrpc", "2.0" }, { "id", id }, { "result", std::move(result) } });
}

void output::fail(const json & id, const user_error & error) {
    send_message(rpc_error_message(id, rpc_number_of(error.code), error));
}

}  // namespace moebius
