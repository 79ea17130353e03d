// Parameters are read strictly, and a refusal names the key.
#include "check.h"
#include "rpc/parameters.h"

#include <limits>

using namespace moebius;

static bool names(const user_error & error, const std::string & text) {
    return error.code == "request.invalid" && std::string(error.what()).find(text) != std::string::npos;
}

static void unknown_keys_are_refused_by_name() {
    const json source = { { "a", 1 }, { "thraeds", 2 } };
    parameters p(source, "options");
    p.integer("a", 0, 10);
    CHECK_THROWS(p.finish(), user_error, names(error, "options.thraeds") && error.details["parameter"] == "options.thraeds");
    p.optional_integer("thraeds", 0, 10);
    p.finish();
}

static void missing_and_mistyped_values_are_refused() {
    const json source = { { "n", nullptr }, { "s", "x" }, { "f", 1.5 }, { "o", json::object() }, { "a", { 1, "x" } }, { "e", "" } };
    parameters p(source);
    CHECK_THROWS(p.integer("missing", 0, 1), user_error, names(error, "'missing' is missing"));
    CHECK_THROWS(p.integer("n", 0, 1), user_error, names(error, "not null"));
    CHECK_THROWS(p.integer("s", 0, 1), user_error, names(error, "not string"));
    CHECK_THROWS(p.integer("f", 0, 10), user_error, names(error, "not 1.5"));
    CHECK_THROWS(p.optional_boolean("s"), user_error, names(error, "true or false"));
    CHECK_THROWS(p.string("o"), user_error, names(error, "must be a string"));
    CHECK_THROWS(p.string("e", 1), user_error, names(error, "must not be empty"));
    CHECK_THROWS(p.optional_array("o"), user_error, names(error, "must be an array"));
    CHECK_THROWS(p.object("a"), user_error, names(error, "must be an object"));
    CHECK_THROWS(p.optional_tokens("a"), user_error, names(error, "'a'"));
    CHECK_THROWS(p.optional_choice("s", { "auto", "on" }), user_error, names(error, "'auto', 'on'"));
    CHECK_THROWS(parameters(json::array(), "x"), user_error, names(error, "x must be an object"));
}

static void ranges_hold_at_their_edges() {
    const json source = json::parse(R"({"low":-1,"zero":0,"ten":10,"eleven":11,"whole":3.0,"huge":18446744073709551615,"far":1e300,"half":0.5})");
    parameters p(source);
    CHECK_EQUAL(p.integer("zero", 0, 10), 0);
    CHECK_EQUAL(p.integer("ten", 0, 10), 10);
    CHECK_EQUAL(p.integer("whole", 0, 10), 3);
    CHECK_THROWS(p.integer("low", 0, 10), user_error, names(error, "from 0 to 10, not -1"));
    CHECK_THROWS(p.integer("eleven", 0, 10), user_error, names(error, "not 11"));
    CHECK_THROWS(p.integer("huge", 0, std::numeric_limits<int64_t>::max()), user_error, names(error, "18446744073709551615"));
    CHECK_THROWS(p.integer("far", 0, std::numeric_limits<int64_t>::max()), user_error, names(error, "'far'"));
    CHECK_NEAR(*p.optional_number("half", 0, 1), 0.5, 0);
    CHECK_THROWS(p.optional_number("ten", 0, 1), user_error, names(error, "from 0 to 1, not 10"));
}

static void absent_ones_are_absent() {
    const json nothing;
    parameters p(nothing);
    CHECK(!p.optional_integer("a", 0, 1) && !p.optional_string("b") && !p.optional_boolean("c") && !p.optional_strings("d"));
    CHECK(p.optional_object("e") == nullptr && p.optional_array("f") == nullptr);
    p.finish();
}

int main() {
    unknown_keys_are_refused_by_name();
    missing_and_mistyped_values_are_refused();
    ranges_hold_at_their_edges();
    absent_ones_are_absent();
    return moebius_test::check_result();
}
