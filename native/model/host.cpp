#include "host.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#    include <malloc.h>
#    include <sched.h>
#    include <unistd.h>
#elif defined(__APPLE__)
#    include <mach/mach.h>
#    include <sys/sysctl.h>
#elif defined(_WIN32)
#    define WIN32_LEAN_AND_MEAN
#    define NOMINMAX
#    include <windows.h>
#    include <psapi.h>
#endif

namespace moebius {

#if defined(__linux__)

namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

// First word of a file, or nothing.
std::string read_word(const std::string & path) {
    std::ifstream file(path);
    std::string   word;
    file >> word;
    return word;
}

// Decimal bytes; "max" and a missing file are unlimited.
uint64_t read_bytes(const std::string & path) {
    const std::string word = read_word(path);
    if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos || word.size() > 19) {
        return unlimited;
    }
    return std::stoull(word);
}

// Value of `key` in a file of "key value" lines (meminfo's "key: value kB" too), or 0.
uint64_t read_row(const std::string & path, const std::string & key) {
    std::ifstream file(path);
    std::string   line;
    while (std::getline(file, line)) {
        std::istringstream row(line);
        std::string        name;
        uint64_t           value = 0;
        if (row >> name >> value && name == key) {
            return value;
        }
    }
    return 0;
}

// Folder of this process's cgroup and of all above it, for cgroup v2 (controller "") or a v1 controller.
// In a container the path in /proc/self/cgroup may be the host's and not exist here: then only the mount's top is left.
std::vector<std::string> cgroup_folders(const std::string & controller, const std::string & mount) {
    std::ifstream file("/proc/self/cgroup");
    std::string   line;
    std::string   path;
    while (std::getline(file, line)) {  // hierarchy:controllers:path
        const auto first  = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string list = "," + line.substr(first + 1, second - first - 1) + ",";
        if (controller.empty() ? list == ",," : list.find("," + controller + ",") != std::string::npos) {
            path = line.substr(second + 1);
        }
    }
    std::vector<std::string> folders;
    while (!path.empty() && path != "/") {
        folders.push_back(mount + path);
        path = path.substr(0, path.rfind('/'));
    }
    folders.push_back(mount);
    return folders;
}

// Narrows `memory` by one limit: what the group uses beyond reclaimable file cache is gone.
void apply_limit(host_memory & memory, uint64_t limit, uint64_t usage, uint64_t file_cache) {
    if (limit >= memory.total) {
        return;
    }
    memory.total        = limit;
    const uint64_t used = usage == unlimited ? 0 : usage - std::min(usage, file_cache);
    memory.available    = std::min(memory.available, limit - std::min(limit, used));
}

void apply_cgroup_limits(host_memory & memory) {
    for (const std::string & folder : cgroup_folders("", "/sys/fs/cgroup")) {
        const std::string stat  = folder + "/memory.stat";
        const uint64_t    limit = std::min(read_bytes(folder + "/memory.max"), read_bytes(folder + "/memory.high"));
        if (limit != unlimited) {
            apply_limit(memory, limit, read_bytes(folder + "/memory.current"),
                        read_row(stat, "inactive_file") + read_row(stat, "active_file"));
        }
    }
    for (const std::string & folder : cgroup_folders("memory", "/sys/fs/cgroup/memory")) {
        const std::string stat  = folder + "/memory.stat";
        const uint64_t    limit = read_bytes(folder + "/memory.limit_in_bytes");
        if (limit != unlimited) {
            apply_limit(memory, limit, read_bytes(folder + "/memory.usage_in_bytes"),
                        read_row(stat, "total_inactive_file") + read_row(stat, "total_active_file"));
        }
    }
}

// CPUs' worth of time that the tightest cgroup quota gives, rounded up; `cores` if there is none.
int32_t apply_cpu_quota(int32_t cores) {
    const auto apply = [&cores](double quota, double period) {
        if (quota > 0 && period > 0) {
            cores = std::min(cores, std::max(1, int32_t((quota + period - 1) / period)));
        }
    };
    for (const std::string & folder : cgroup_folders("", "/sys/fs/cgroup")) {
        std::ifstream file(folder + "/cpu.max");
        double        quota  = 0;
        double        period = 0;
        if (file >> quota >> period) {  // "max 100000" reads as no number
            apply(quota, period);
        }
    }
    for (const std::string & folder : cgroup_folders("cpu", "/sys/fs/cgroup/cpu")) {
        std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
        std::ifstream period_file(folder + "/cpu.cfs_period_us");
        double        quota  = 0;
        double        period = 0;
        if (quota_file >> quota && period_file >> period) {  // -1: none
            apply(quota, period);
        }
    }
    return cores;
}

}  // namespace

host_memory host_memory_now() {
    host_memory memory;
    memory.total     = read_row("/proc/meminfo", "MemTotal:") * 1024;
    memory.available = read_row("/proc/meminfo", "MemAvailable:") * 1024;
    apply_cgroup_limits(memory);
    return memory;
}

int32_t host_physical_cores() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    std::set<std::string> cores;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (CPU_ISSET(cpu, &allowed)) {
                const std::string siblings =
                    read_word("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
                cores.insert(siblings.empty() ? "cpu" + std::to_string(cpu) : siblings);
            }
        }
    }
    const int32_t count = cores.empty() ? int32_t(std::thread::hardware_concurrency()) : int32_t(cores.size());
    return std::max(1, apply_cpu_quota(count));
}

#elif defined(__APPLE__)

namespace {

uint64_t sysctl_number(const char * name) {
    uint64_t value = 0;
    size_t   size  = sizeof(value);
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

}  // namespace

host_memory host_memory_now() {
    host_memory memory{ sysctl_number("hw.memsize"), 0 };
    vm_statistics64_data_t statistics;
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    memory.available             = memory.total;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, host_info64_t(&statistics), &count) == KERN_SUCCESS) {
        const uint64_t pages = uint64_t(statistics.free_count) + statistics.inactive_count + statistics.purgeable_count;
        memory.available     = std::min(memory.total, pages * vm_kernel_page_size);
    }
    return memory;
}

int32_t host_physical_cores() {
    uint64_t cores = sysctl_number("hw.perflevel0.physicalcpu");  // performance cores of Apple silicon
    if (cores == 0) {
        cores = sysctl_number("hw.physicalcpu");
    }
    return std::max(1, int32_t(cores));
}

#elif defined(_WIN32)

host_memory host_memory_now() {
    MEMORYSTATUSEX status;
    status.dwLength = sizeof(status);
    return GlobalMemoryStatusEx(&status) ? host_memory{ status.ullTotalPhys, status.ullAvailPhys } : host_memory{ 0, 0 };
}

int32_t host_physical_cores() {
    DWORD size = 0;
    GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &size);
    std::vector<char> buffer(size);
    auto *            first = reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *>(buffer.data());
    int32_t           cores = 0;
    if (size > 0 && GetLogicalProcessorInformationEx(RelationProcessorCore, first, &size)) {
        for (DWORD at = 0; at < size; cores++) {
            at += reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *>(buffer.data() + at)->Size;
        }
    }
    return std::max(1, cores);
}

#endif

uint64_t host_process_bytes() {
#if defined(__linux__)
    std::ifstream file("/proc/self/statm");
    uint64_t      all = 0, resident = 0;
    file >> all >> resident;
    return resident * uint64_t(sysconf(_SC_PAGESIZE));
#elif defined(__APPLE__)
    mach_task_basic_info_data_t task{};
    mach_msg_type_number_t      count = MACH_TASK_BASIC_INFO_COUNT;
    return task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&task), &count) == KERN_SUCCESS ? task.resident_size : 0;
#elif defined(_WIN32)
    PROCESS_MEMORY_COUNTERS process{};
    return GetProcessMemoryInfo(GetCurrentProcess(), &process, sizeof(process)) ? process.WorkingSetSize : 0;
#else
    return 0;
#endif
}

void host_trim_memory() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

void host_return_freed_memory() {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);  // not what every graph needs anew
#endif
}

}  // namespace moebius
