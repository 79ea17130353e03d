// llama.cpp's RPC client and server, compiled as they are, and what is to be known of their private protocol.
#include "rpc-client.h"

#include "served-memory.h"

#include <ggml-backend-impl.h>

// The server's way to memory goes past the limit that this machine's user has set.
#define ggml_backend_dev_memory        moebius::served_device_memory
#define ggml_backend_buft_alloc_buffer moebius::served_alloc_buffer
#define ggml_backend_buffer_free       moebius::served_free_buffer
#include <ggml-rpc/ggml-rpc.cpp>
#undef ggml_backend_dev_memory
#undef ggml_backend_buft_alloc_buffer
#undef ggml_backend_buffer_free

namespace moebius {

bool rpc_may_wait(uint8_t command) {
    return command == RPC_CMD_SET_TENSOR;
}

bool rpc_is_hello(uint8_t command) {
    return command == RPC_CMD_HELLO;
}

uint64_t rpc_answer_bytes(uint8_t command, const std::vector<uint8_t> & request) {
    switch (command) {
        case RPC_CMD_HELLO:
            return sizeof(rpc_msg_hello_rsp);
        case RPC_CMD_DEVICE_COUNT:
            return sizeof(rpc_msg_device_count_rsp);
        case RPC_CMD_ALLOC_BUFFER:
            return sizeof(rpc_msg_alloc_buffer_rsp);
        case RPC_CMD_GET_ALLOC_SIZE:
            return sizeof(rpc_msg_get_alloc_size_rsp);
        case RPC_CMD_GET_ALIGNMENT:
            return sizeof(rpc_msg_get_alignment_rsp);
        case RPC_CMD_GET_MAX_SIZE:
            return sizeof(rpc_msg_get_max_size_rsp);
        case RPC_CMD_BUFFER_GET_BASE:
            return sizeof(rpc_msg_buffer_get_base_rsp);
        case RPC_CMD_SET_TENSOR_HASH:
            return sizeof(rpc_msg_set_tensor_hash_rsp);
        case RPC_CMD_COPY_TENSOR:
            return sizeof(rpc_msg_copy_tensor_rsp);
        case RPC_CMD_GET_DEVICE_MEMORY:
            return sizeof(rpc_msg_get_device_memory_rsp);
        case RPC_CMD_GET_TENSOR: {
            rpc_msg_get_tensor_req get;
            GGML_ASSERT(request.size() == sizeof(get));
            memcpy(&get, request.data(), sizeof(get));
            return get.size;
        }
        default:
            GGML_ABORT("no answer is known to RPC command %d", command);
    }
}

void rpc_stand_in(uint8_t command, void * answer, size_t bytes) {
    memset(answer, 0, bytes);
    const auto give = [&](const auto & value) { memcpy(answer, &value, sizeof(value)); };
    switch (command) {
        case RPC_CMD_HELLO:
            return give(rpc_msg_hello_rsp{ RPC_PROTO_MAJOR_VERSION, RPC_PROTO_MINOR_VERSION, RPC_PROTO_PATCH_VERSION, 0, {} });
        case RPC_CMD_GET_ALIGNMENT:
            return give(rpc_msg_get_alignment_rsp{ 4096 });
        case RPC_CMD_GET_MAX_SIZE:
            return give(rpc_msg_get_max_size_rsp{ SIZE_MAX });
        case RPC_CMD_BUFFER_GET_BASE:
            return give(rpc_msg_buffer_get_base_rsp{ 1 << 20 });  // ggml wants one
        case RPC_CMD_SET_TENSOR_HASH:
            return give(rpc_msg_set_tensor_hash_rsp{ 1 });  // it has the data, nothing is to be sent
        case RPC_CMD_COPY_TENSOR:
            return give(rpc_msg_copy_tensor_rsp{ 1 });
        default:
            return;
    }
}

std::string rpc_hello_problem(const void * answer) {
    rpc_msg_hello_rsp hello;
    memcpy(&hello, answer, sizeof(hello));
    if (hello.major == RPC_PROTO_MAJOR_VERSION && hello.minor <= RPC_PROTO_MINOR_VERSION) {
        return "";
    }
    const auto version = [](int major, int minor) { return std::to_string(major) + "." + std::to_string(minor); };
    return "it speaks version " + version(hello.major, hello.minor) + " of the RPC protocol, this machine version " +
           version(RPC_PROTO_MAJOR_VERSION, RPC_PROTO_MINOR_VERSION) + "; both need the same release";
}

namespace {

// Sizes are asked for once and remembered by ggml for good; 0 was said by nobody but the stand-in, at a loss just then.
size_t alloc_size_ask(ggml_backend_buffer_type_t type, const ggml_tensor * tensor) {
    const auto & context    = *static_cast<ggml_backend_rpc_buffer_type_context *>(type->context);
    auto         request    = std::make_shared<rpc_msg_get_alloc_size_req>();
    request->device         = context.device;
    request->tensor         = serialize_tensor(tensor);
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        request->srcs[i] = serialize_tensor(tensor->src[i]);
    }
    rpc_msg_get_alloc_size_rsp response{};
    get_dispatcher(context.endpoint)->send(RPC_CMD_GET_ALLOC_SIZE, request, sizeof(*request), &response, sizeof(response));
    return response.alloc_size;
}

size_t alloc_size(ggml_backend_buffer_type_t type, const ggml_tensor * tensor) {
    const size_t known = ggml_backend_rpc_buffer_type_get_alloc_size(type, tensor);
    return std::max(known == 0 ? alloc_size_ask(type, tensor) : known, ggml_nbytes(tensor));
}

// llama.cpp's frees what an event holds, and not the event.
void event_free(ggml_backend_dev_t device, ggml_backend_event_t event) {
    ggml_backend_rpc_device_event_free(device, event);
    delete event;
}

}  // namespace

uint32_t rpc_device_count(const std::string & endpoint) {
    return ggml_backend_rpc_get_device_count(endpoint.c_str());
}

std::vector<ggml_backend_dev_t> rpc_devices(const std::string & endpoint) {
    ggml_backend_rpc_buffer_type_interface.get_alloc_size = alloc_size;
    const ggml_backend_reg_t        machine = ggml_backend_rpc_add_server(endpoint.c_str());
    std::vector<ggml_backend_dev_t> devices;
    for (size_t i = 0; machine && i < ggml_backend_reg_dev_count(machine); i++) {
        devices.push_back(ggml_backend_reg_dev_get(machine, i));
        static_cast<ggml_backend_rpc_device_context *>(devices.back()->context)->name = "RPC" + std::to_string(i) + "@" + endpoint;
        devices.back()->iface.event_free = event_free;
        ggml_backend_dev_buffer_type(devices.back());  // asks for alignment and size now, once
    }
    return devices;
}

}  // namespace moebius
