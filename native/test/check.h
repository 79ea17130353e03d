// Checks for the programs in this folder. A test is `main` with CHECKs that returns check_result(): 0 = all passed.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>

namespace moebius_test {

inline std::atomic<int> checks{ 0 }, failures{ 0 };  // threads of a test check, too

inline void report(bool ok, const char * file, int line, const std::string & text) {
    ++checks;
    if (!ok) {
        ++failures;
        std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text.c_str());
    }
}

template <typename A, typename B>
void report_equal(const A & a, const B & b, const char * file, int line, const char * text) {
    const bool ok = a == b;
    std::ostringstream message;
    if (!ok) {
        message << text << ": " << a << " != " << b;
    }
    report(ok, file, line, message.str());
}

// Prints the count and gives the exit code. A test without a single check fails.
inline int check_result() {
    std::fprintf(stderr, "%d checks, %d failed\n", checks.load(), failures.load());
    return checks > 0 && failures == 0 ? 0 : 1;
}

}  // namespace moebius_test

#define CHECK(condition) moebius_test::report(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
// a == b, both printable with <<
#define CHECK_EQUAL(a, b) moebius_test::report_equal((a), (b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_NEAR(a, b, tolerance)                                                                              \
    moebius_test::report(std::fabs(double(a) - double(b)) <= double(tolerance), __FILE__, __LINE__,              \
                         std::string(#a " near " #b ": ") + std::to_string(double(a)) + " and " +                \
                             std::to_string(double(b)) + ", tolerance " + std::to_string(double(tolerance)))
// the expression throws `type`, and `condition` (which may use `error`, the exception) holds
#define CHECK_THROWS(expression, type, condition)                                                      \
    do {                                                                                               \
        try {                                                                                          \
            (void) (expression);                                                                       \
            moebius_test::report(false, __FILE__, __LINE__, #expression " did not throw");             \
        } catch (const type & error) {                                                                 \
            moebius_test::report((condition), __FILE__, __LINE__,                                      \
                                 std::string(#condition " of the exception: ") + error.what());        \
        }                                                                                              \
    } while (0)
