# remote/: llama.cpp's RPC client and server, compiled from the bundle into ours with a transport of our own, and `moebius-rpc-server`.
set(remote_folder "${CMAKE_CURRENT_SOURCE_DIR}/remote")
# these see llama.cpp's whole source or the system's socket headers, whose names are not for others
set_source_files_properties("${remote_folder}/rpc-client.cpp" "${remote_folder}/transport.cpp" "${remote_folder}/socket.cpp"
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
# ggml's declarations of it are of this program
set_source_files_properties("${remote_folder}/rpc-client.cpp" PROPERTIES COMPILE_DEFINITIONS GGML_BACKEND_BUILD SKIP_PRECOMPILE_HEADERS ON)
if(MOEBIUS_SANITIZE)
    # llama.cpp binds references into packed messages
    set_property(SOURCE "${remote_folder}/rpc-client.cpp" APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=alignment)
endif()
if(WIN32)
    target_link_libraries(moebius-core PUBLIC ws2_32)
endif()

add_executable(moebius-rpc-server "${remote_folder}/rpc-server.cpp")
moebius_executable(moebius-rpc-server)
