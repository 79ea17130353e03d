#include "background-thread.h"

#include <future>
#include <thread>

#if defined(__linux__)
#    include <sys/resource.h>
#    include <sys/syscall.h>
#    include <unistd.h>
#elif defined(__APPLE__)
#    include <pthread.h>
#    include <sys/qos.h>
#    include <sys/resource.h>
#elif defined(_WIN32)
#    include "experts/store/windows-api.h"
#endif

namespace moebius {

namespace {

// Of the calling thread. A system that refuses leaves it as it is.
void give_way() {
#if defined(__linux__)
    constexpr int who_process = 1, class_idle = 3, class_shift = 13;  // linux/ioprio.h; 0: the calling thread
    syscall(SYS_ioprio_set, who_process, 0, class_idle << class_shift);
    setpriority(PRIO_PROCESS, id_t(syscall(SYS_gettid)), 19);
#elif defined(__APPLE__)
    pthread_set_qos_class_self_np(QOS_CLASS_BACKGROUND, 0);
    setiopolicy_np(IOPOL_TYPE_DISK, IOPOL_SCOPE_THREAD, IOPOL_THROTTLE);
#elif defined(_WIN32)
    SetThreadPriority(GetCurrentThread(), THREAD_MODE_BACKGROUND_BEGIN);
#endif
}

}  // namespace

// A thread of its own: a priority that was given up is not given back.
void run_in_background(const std::function<void()> & work) {
    std::packaged_task<void()> task([&] {
        give_way();
        work();
    });
    std::future<void>          done = task.get_future();
    std::thread(std::move(task)).join();
    done.get();
}

}  // namespace moebius
