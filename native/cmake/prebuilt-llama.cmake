# Finds llama.cpp as npm installed it: libraries in @node-llama-cpp/<platform>, headers in node-llama-cpp's source bundle.
#
# Defines
#   llama-prebuilt                 target: include folders and libraries of the CPU package
#   MOEBIUS_LIBRARY_FOLDER         folder of those libraries
#   MOEBIUS_LLAMA_VERSION          version of the headers; the engine refuses to run on libraries of another
#   MOEBIUS_BACKEND_PATH_DEFAULT   folders to look for ggml backends in, CPU first, joined by : (; on Windows)
#   MOEBIUS_LLAMA_SOURCE           the unpacked bundle
get_filename_component(node_modules "${MOEBIUS_NODE_MODULES}" ABSOLUTE)

# --- headers: clone the bundle once; again when its content changes
set(bundle "${node_modules}/node-llama-cpp/llama/gitRelease.bundle")
if(NOT EXISTS "${bundle}")
    message(FATAL_ERROR "${bundle} is missing: run `npm ci` in the top folder first")
endif()
set(MOEBIUS_LLAMA_SOURCE "${CMAKE_BINARY_DIR}/llama-src")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${bundle}")
file(SHA256 "${bundle}" bundle_hash)
set(unpacked "")
if(EXISTS "${MOEBIUS_LLAMA_SOURCE}.sha256")
    file(READ "${MOEBIUS_LLAMA_SOURCE}.sha256" unpacked)
endif()
if(NOT unpacked STREQUAL bundle_hash OR NOT EXISTS "${MOEBIUS_LLAMA_SOURCE}/include/llama.h")
    find_program(MOEBIUS_GIT git REQUIRED)
    file(REMOVE_RECURSE "${MOEBIUS_LLAMA_SOURCE}")
    execute_process(COMMAND ${MOEBIUS_GIT} -c advice.detachedHead=false clone --quiet "${bundle}" "${MOEBIUS_LLAMA_SOURCE}"
        RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "could not unpack ${bundle} (git clone ended with ${status})")
    endif()
    file(WRITE "${MOEBIUS_LLAMA_SOURCE}.sha256" "${bundle_hash}")
endif()
file(READ "${MOEBIUS_LLAMA_SOURCE}/CMakeLists.txt" llama_cmake)
foreach(part MAJOR MINOR PATCH)
    if(NOT llama_cmake MATCHES "set\\(LLAMA_VERSION_${part} ([0-9]+)\\)")
        message(FATAL_ERROR "no LLAMA_VERSION_${part} in the bundle's CMakeLists.txt")
    endif()
    set(version_${part} "${CMAKE_MATCH_1}")
endforeach()
set(MOEBIUS_LLAMA_VERSION "${version_MAJOR}.${version_MINOR}.${version_PATCH}")

# --- libraries
string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
if(processor MATCHES "^(aarch64|arm64)$")
    set(architecture arm64)
elseif(processor MATCHES "^arm")
    set(architecture armv7l)
elseif(processor MATCHES "^riscv64$")
    set(architecture riscv64)
else()
    set(architecture x64)
endif()
if(APPLE)
    set(platform "mac-${architecture}")
    if(architecture STREQUAL "arm64")
        set(platform "mac-arm64-metal")
    endif()
elseif(WIN32)
    set(platform "win-${architecture}")
else()
    set(platform "linux-${architecture}")
endif()
set(packages "${node_modules}/@node-llama-cpp")
set(MOEBIUS_LIBRARY_FOLDER "${packages}/${platform}/bins/${platform}")
if(NOT IS_DIRECTORY "${MOEBIUS_LIBRARY_FOLDER}")
    message(FATAL_ERROR "${MOEBIUS_LIBRARY_FOLDER} is missing: run `npm ci` in the top folder on this platform first")
endif()

# libraries carry the release in their name: libllama.v0.5.0.so, libllama.metal.v0.5.0.dylib, llama.v0.5.0.dll
function(moebius_find_library variable)
    foreach(pattern ${ARGN})
        file(GLOB found "${MOEBIUS_LIBRARY_FOLDER}/${CMAKE_SHARED_LIBRARY_PREFIX}${pattern}${CMAKE_SHARED_LIBRARY_SUFFIX}")
        list(LENGTH found count)
        if(count EQUAL 1)
            set(${variable} "${found}" PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "no single ${ARGN} in ${MOEBIUS_LIBRARY_FOLDER} for llama.cpp ${MOEBIUS_LLAMA_VERSION}")
endfunction()
moebius_find_library(library_llama "llama.v${MOEBIUS_LLAMA_VERSION}" "llama.*v${MOEBIUS_LLAMA_VERSION}" "llama")
moebius_find_library(library_common "llama-common" "llama-common.*")
moebius_find_library(library_ggml "ggml.v${MOEBIUS_LLAMA_VERSION}" "ggml.*v${MOEBIUS_LLAMA_VERSION}" "ggml")
moebius_find_library(library_base "ggml-base" "ggml-base.*")
set(libraries "${library_llama}" "${library_common}" "${library_ggml}" "${library_base}")
if(WIN32)
    include(import-library)
    moebius_import_libraries(libraries)
endif()

set(MOEBIUS_BACKEND_PATH_DEFAULT "${MOEBIUS_LIBRARY_FOLDER}")
if(WIN32)
    set(separator "\\;")
else()
    set(separator ":")
endif()
foreach(variant cuda vulkan)
    set(folder "${packages}/${platform}-${variant}/bins/${platform}-${variant}")
    if(IS_DIRECTORY "${folder}")
        string(APPEND MOEBIUS_BACKEND_PATH_DEFAULT "${separator}${folder}")
    endif()
endforeach()

add_library(llama-prebuilt INTERFACE)
target_include_directories(llama-prebuilt SYSTEM INTERFACE
    "${MOEBIUS_LLAMA_SOURCE}/include"
    "${MOEBIUS_LLAMA_SOURCE}/ggml/include"
    "${MOEBIUS_LLAMA_SOURCE}/src"
    "${MOEBIUS_LLAMA_SOURCE}/ggml/src"
    "${MOEBIUS_LLAMA_SOURCE}/common"
    "${MOEBIUS_LLAMA_SOURCE}/vendor")
target_link_libraries(llama-prebuilt INTERFACE ${libraries})
target_compile_definitions(llama-prebuilt INTERFACE GGML_SHARED GGML_BACKEND_SHARED LLAMA_SHARED)
if(NOT APPLE AND NOT WIN32)
    # a backend may need a driver library that this machine has not
    target_link_options(llama-prebuilt INTERFACE -Wl,--allow-shlib-undefined)
endif()
