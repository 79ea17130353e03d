#include "parameters.h"

#include <cmath>
#include <limits>
#include <sstream>

namespace moebius {

namespace {

const json empty_object = json::object();

// a number as a person writes it
std::string plain(double value) {
    std::ostringstream text;
    text.precision(15);
    text << value;
    return text.str();
}

}  // namespace

parameters::parameters(const json & object, std::string where)
    : source(object.is_null() ? empty_object : object), where(std::move(where)) {
    if (!source.is_object()) {
        const std::string subject = this->where.empty() ? "params" : this->where;
        throw user_error("request.invalid", subject + " must be an object, not " + source.type_name(), { { "parameter", subject } });
    }
}

std::string parameters::name(const std::string & key) const {
    return where.empty() ? key : where + "." + key;
}

void parameters::refuse(const std::string & key, const std::string & what) const {
    throw user_error("request.invalid", "Parameter '" + name(key) + "' " + what + ".", { { "parameter", name(key) } });
}

bool parameters::has(const char * key) const {
    return source.contains(key);
}

const json * parameters::take(const char * key) {
    known.insert(key);
    const auto found = source.find(key);
    return found == source.end() ? nullptr : &*found;
}

const json & parameters::need(const char * key) {
    const json * value = take(key);
    if (!value) {
        refuse(key, "is missing");
    }
    return *value;
}

int64_t parameters::to_integer(const json & value, const char * key, int64_t minimum, int64_t maximum) const {
    const std::string range = "must be an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum);
    if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max())) {
        refuse(key, range + ", not " + std::to_string(value.get<uint64_t>()));
    }
    if (value.is_number_integer()) {
        const int64_t integer = value.get<int64_t>();
        if (integer < minimum || integer > maximum) {
            refuse(key, range + ", not " + std::to_string(integer));
        }
        return integer;
    }
    // JavaScript does not tell 1 from 1.0; a client may write either
    if (value.is_number_float()) {
        const double number = value.get<double>();
        if (std::floor(number) != number || number < double(minimum) || number > double(maximum) || number >= 0x1p63) {
            refuse(key, range + ", not " + plain(number));
        }
        return int64_t(number);
    }
    refuse(key, range + ", not " + value.type_name());
}

double parameters::to_number(const json & value, const char * key, double minimum, double maximum) const {
    const std::string range = "must be a number from " + plain(minimum) + " to " + plain(maximum);
    if (!value.is_number()) {
        refuse(key, range + ", not " + value.type_name());
    }
    const double number = value.get<double>();
    if (!(number >= minimum && number <= maximum)) {
        refuse(key, range + ", not " + plain(number));
    }
    return number;
}

std::string parameters::to_string(const json & value, const char * key, size_t minimum_bytes) const {
    if (!value.is_string()) {
        refuse(key, std::string("must be a string, not ") + value.type_name());
    }
    std::string text = value.get<std::string>();
    if (text.size() < minimum_bytes) {
        refuse(key, "must not be empty");
    }
    return text;
}

int64_t parameters::integer(const char * key, int64_t minimum, int64_t maximum) {
    return to_integer(need(key), key, minimum, maximum);
}

std::string parameters::string(const char * key, size_t minimum_bytes) {
    return to_string(need(key), key, minimum_bytes);
}

const json & parameters::object(const char * key) {
    need(key);
    return *optional_object(key);
}

std::optional<int64_t> parameters::optional_integer(const char * key, int64_t minimum, int64_t maximum) {
    const json * value = take(key);
    return value ? std::optional(to_integer(*value, key, minimum, maximum)) : std::nullopt;
}

std::optional<double> parameters::optional_number(const char * key, double minimum, double maximum) {
    const json * value = take(key);
    return value ? std::optional(to_number(*value, key, minimum, maximum)) : std::nullopt;
}

std::optional<bool> parameters::optional_boolean(const char * key) {
    const json * value = take(key);
    if (!value) {
        return std::nullopt;
    }
    if (!value->is_boolean()) {
        refuse(key, std::string("must be true or false, not ") + value->type_name());
    }
    return value->get<bool>();
}

std::optional<std::string> parameters::optional_string(const char * key, size_t minimum_bytes) {
    const json * value = take(key);
    return value ? std::optional(to_string(*value, key, minimum_bytes)) : std::nullopt;
}

std::optional<std::vector<std::string>> parameters::optional_strings(const char * key) {
    const json * array = optional_array(key);
    if (!array) {
        return std::nullopt;
    }
    std::vector<std::string> strings;
    for (const json & value : *array) {
        strings.push_back(to_string(value, key, 0));
    }
    return strings;
}

std::optional<std::vector<double>> parameters::optional_numbers(const char * key, double minimum, double maximum) {
    const json * array = optional_array(key);
    if (!array) {
        return std::nullopt;
    }
    std::vector<double> numbers;
    for (const json & value : *array) {
        numbers.push_back(to_number(value, key, minimum, maximum));
    }
    return numbers;
}

std::optional<std::vector<int32_t>> parameters::optional_tokens(const char * key) {
    const json * array = optional_array(key);
    if (!array) {
        return std::nullopt;
    }
    std::vector<int32_t> tokens;
    tokens.reserve(array->size());
    for (const json & value : *array) {
        tokens.push_back(int32_t(to_integer(value, key, 0, std::numeric_limits<int32_t>::max())));
    }
    return tokens;
}

std::optional<std::string> parameters::optional_choice(const char * key, const std::vector<std::string> & choices) {
    const json * value = take(key);
    if (!value) {
        return std::nullopt;
    }
    std::string list;
    for (const std::string & choice : choices) {
        if (value->is_string() && value->get_ref<const std::string &>() == choice) {
            return choice;
        }
        list += (list.empty() ? "'" : ", '") + choice + "'";
    }
    refuse(key, "must be one of " + list);
}

const json * parameters::optional_object(const char * key) {
    const json * value = take(key);
    if (value && !value->is_object()) {
        refuse(key, std::string("must be an object, not ") + value->type_name());
    }
    return value;
}

const json * parameters::optional_array(const char * key) {
    const json * value = take(key);
    if (value && !value->is_array()) {
        refuse(key, std::string("must be an array, not ") + value->type_name());
    }
    return value;
}

void parameters::finish() const {
    for (const auto & [key, value] : source.items()) {
        if (known.count(key) == 0) {
            refuse(key.substr(0, 100), "is unknown");
        }
    }
}

}  // namespace moebius
