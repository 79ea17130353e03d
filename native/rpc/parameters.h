// Strict reading of a JSON object of parameters: unknown keys, wrong types and values out of range are refused
// with `request.invalid`, naming the key. Used once per object:
//
//     parameters p(json, "options");
//     auto threads = p.optional_integer("threads", 1, 512);
//     p.finish();                                   // throws if there was a key that nobody asked for
#pragma once

#include "errors.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace moebius {

class parameters {
  public:
    // `object` must outlive this; null counts as {}. `where`: how messages name the object, empty for the top one.
    explicit parameters(const json & object, std::string where = "");

    bool has(const char * key) const;

    int64_t     integer(const char * key, int64_t minimum, int64_t maximum);
    std::string string(const char * key, size_t minimum_bytes = 0);
    const json & object(const char * key);

    std::optional<int64_t>                  optional_integer(const char * key, int64_t minimum, int64_t maximum);
    std::optional<double>                   optional_number(const char * key, double minimum, double maximum);
    std::optional<bool>                     optional_boolean(const char * key);
    std::optional<std::string>              optional_string(const char * key, size_t minimum_bytes = 0);
    std::optional<std::vector<std::string>> optional_strings(const char * key);
    std::optional<std::vector<double>>      optional_numbers(const char * key, double minimum, double maximum);
    std::optional<std::vector<int32_t>>     optional_tokens(const char * key);
    // one of `choices`
    std::optional<std::string>              optional_choice(const char * key, const std::vector<std::string> & choices);
    // nullptr when absent; refuses everything but an object / array
    const json *                            optional_object(const char * key);
    const json *                            optional_array(const char * key);

    void finish() const;

    // throws request.invalid: "<where>.<key> <what>"
    [[noreturn]] void refuse(const std::string & key, const std::string & what) const;

  private:
    const json * take(const char * key);  // nullptr when absent; remembers that the key was asked for
    const json & need(const char * key);
    std::string  name(const std::string & key) const;
    int64_t      to_integer(const json & value, const char * key, int64_t minimum, int64_t maximum) const;
    double       to_number(const json & value, const char * key, double minimum, double maximum) const;
    std::string  to_string(const json & value, const char * key, size_t minimum_bytes) const;

    const json &          source;
    std::string           where;
    std::set<std::string> known;
};

}  // namespace moebius
