// The life of the process's conversation: reads stdin until its end or `shutdown`, feeds the dispatcher, winds down.
#pragma once

#include "dispatcher.h"
#include "framing.h"
#include "writer.h"

namespace moebius {

class server {
  public:
    // Adds `shutdown` to the methods; the caller adds all others before run().
    // `release` frees everything that requests have made (models); called once, after the last job ended.
    server(int input, writer & out, dispatcher & methods, std::function<void()> release);

    // Reader thread. Gives the exit code: 0 after the end of stdin or shutdown, 1 after a header that makes no sense.
    // The process is gone within wind_down_limit of either, even if something hangs.
    int run();

  private:
    void take_event(const frame_event & event);
    void wind_down();
    void refuse(rpc_number number, const std::string & message);

    int                   input;
    writer &              out;
    dispatcher &          methods;
    std::function<void()> release;
    bool                  ending    = false;
    json                  shutdown_id;  // null until asked for
    int                   exit_code = 0;
};

}  // namespace moebius
