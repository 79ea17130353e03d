// Settings of a run that can't be.
#pragma once

#include "rpc/errors.h"

#include <sstream>

namespace moebius {

// Throws request.invalid that names the setting, what it is and what it must be, unless `ok`.
inline void require_setting(bool ok, const char * name, double value, const std::string & range) {
    if (!ok) {
        std::ostringstream message;
        message << name << " is " << value << ": it must be " << range << ".";
        throw user_error("request.invalid", message.str(), { { "parameter", name }, { "value", value } });
    }
}

}  // namespace moebius
