// What this machine gives to this process: RAM and CPU cores, limits of cgroups and affinity respected.
#pragma once

#include <cstdint>

namespace moebius {

struct host_memory {
    uint64_t total;      // bytes: RAM, or the cgroup's limit if that is less
    uint64_t available;  // bytes that can still be used without swapping; file cache counts as free
};

host_memory host_memory_now();

// RAM that this process has now (its resident set); 0: the system does not tell.
uint64_t host_process_bytes();

// Gives freed memory back to the system, as far as the C library can.
void host_trim_memory();

// From now on memory that was allocated in large pieces goes back to the system when it is freed. (The C library of Linux keeps pieces of up to 32 MB
// once it has seen some come and go, as matrices on their way to a device do.)
void host_return_freed_memory();

// Cores that this process may run on, two threads of one core counted once, and no more than the cgroup's CPU quota
// rounded up. At least 1.
int32_t host_physical_cores();

}  // namespace moebius
