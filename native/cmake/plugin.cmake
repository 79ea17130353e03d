# plugin/: libggml-moebius-experts, which stock llama.cpp programs load by GGML_BACKEND_PATH. Its symbols of ggml and llama.cpp are theirs.
if(WIN32 OR MOEBIUS_SANITIZE OR MOEBIUS_SANITIZE_THREADS)
    return()  # a DLL cannot leave symbols open; the programs that load it are not sanitized
endif()
file(GLOB plugin_sources CONFIGURE_DEPENDS
    "${CMAKE_CURRENT_SOURCE_DIR}/plugin/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/experts/backend/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/experts/dispatch/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/experts/layout/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/experts/lossy/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/experts/policy/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/experts/store/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/model/gguf-*.cpp")
foreach(source experts/simulate/trace model/host model/inspect model/lazy-mapping model/tensor-class model/utf8 remote/link router/shape rpc/json-text rpc/log rpc/pipes)
    list(APPEND plugin_sources "${CMAKE_CURRENT_SOURCE_DIR}/${source}.cpp")
endforeach()
add_library(ggml-moebius-experts MODULE ${plugin_sources})
target_include_directories(ggml-moebius-experts PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
target_include_directories(ggml-moebius-experts SYSTEM PRIVATE $<TARGET_PROPERTY:llama-prebuilt,INTERFACE_SYSTEM_INCLUDE_DIRECTORIES>)
target_compile_definitions(ggml-moebius-experts PRIVATE GGML_SHARED GGML_BACKEND_SHARED LLAMA_SHARED)
target_link_libraries(ggml-moebius-experts PRIVATE Threads::Threads)
set_target_properties(ggml-moebius-experts PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12 SUFFIX ".so")
if(APPLE)
    target_link_options(ggml-moebius-experts PRIVATE -undefined dynamic_lookup)
endif()
target_precompile_headers(ggml-moebius-experts PRIVATE
    <nlohmann/json.hpp> <ggml.h> <ggml-backend.h> <llama.h>
    <algorithm> <array> <atomic> <condition_variable> <cstdint> <cstring> <functional> <map> <memory> <mutex>
    <optional> <string> <thread> <unordered_map> <vector>)
