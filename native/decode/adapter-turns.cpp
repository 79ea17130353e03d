#include "adapter-turns.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr double  turn_changes = 10;      // a turn is at least as long as so many changes ...
constexpr int64_t turn_most_us = 250000;  // ... but others wait no longer than they do for a prompt beside them (see scheduler)

}  // namespace

int64_t adapter_turns::turn_us() const {
    return std::min(turn_most_us, int64_t(turn_changes * change_us));
}

std::string adapter_turns::next(const std::vector<std::string> & wanted, int64_t now_us) {
    const auto wants = [&](const std::string & key) { return std::find(wanted.begin(), wanted.end(), key) != wanted.end(); };
    for (auto known = last.begin(); known != last.end();) {
        known = wants(known->first) ? std::next(known) : last.erase(known);
    }
    if (begun && wants(current) && (wanted.size() == 1 || now_us - began_us < turn_us())) {
        return current;
    }
    const auto turn_of = [&](const std::string & key) { return last.count(key) > 0 ? last.at(key) : 0; };
    current  = *std::min_element(wanted.begin(), wanted.end(), [&](const std::string & a, const std::string & b) { return turn_of(a) < turn_of(b); });
    begun    = true;
    began_us = now_us;
    last[current] = ++count;
    return current;
}

void adapter_turns::changed(int64_t took_us) {
    change_us = change_us > 0 ? 0.7 * change_us + 0.3 * double(took_us) : double(took_us);
}

}  // namespace moebius
