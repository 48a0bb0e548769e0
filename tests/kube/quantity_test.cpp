// SPDX-License-Identifier: Apache-2.0
#include "kube/quantity.h"

namespace tokenlet::kube {
namespace {

__extension__ using Wide = __int128;

TEST(ParseQuantity, ReadsKubernetesGrammar) {
    struct Case {
        std::string_view text;
        std::string_view same;  // as this number of nano units
    };
    const Case cases[] = {
        {"0", "0"},
        {"1", "1000000000"},
        {"+1", "1000000000"},
        {"-1", "-1000000000"},
        {"250m", "250000000"},
        {"0.25", "250000000"},
        {".25", "250000000"},
        {"5.", "5000000000"},
        {"1n", "1"},
        {"1u", "1000"},
        {"1k", "1000000000000"},
        {"1e3", "1000000000000"},
        {"1E3", "1000000000000"},
        {"1e+3", "1000000000000"},
        {"1e-3", "1000000"},
        {"1Ki", "1024000000000"},
        {"0.5Ki", "512000000000"},
        {"100Mi", "104857600000000000"},
        {"1.5Gi", "1610612736000000000"},
        {"1E", "1000000000000000000000000000"},
        {"1Ei", "1152921504606846976000000000"},
        {"0.9999999000000000052Ei", "1152921389314696521310494224"},
        {"0.333333333333333333333333333333333333Ei", "384307168202282325333333334"},
        {"10000000000000000000000000000000e-20", "100000000000000000000"},
        {"7Ei", "8070450532247928832000000000"},
        {"0.1n", "1"},    // finer than a nano: rounded up
        {"-0.1n", "-1"},  // away from zero
        {"0.000000000000000000000000000000000001", "1"},
        {"0.0000000000", "0"},
        {"9223372036854775807", "9223372036854775807000000000"},
    };
    const auto nano = [](std::string_view digits) {
        Wide value = 0;
        const bool negative = digits.starts_with('-');
        for (char c : digits.substr(negative ? 1 : 0))
            value = value * 10 + (c - '0');
        return negative ? -value : value;
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.text);
        const auto quantity = parse_quantity(c.text);
        ASSERT_TRUE(quantity) << quantity.error().what;
        EXPECT_TRUE(quantity->nano == nano(c.same));
    }
}

TEST(ParseQuantity, RefusesTheRest) {
    for (std::string_view text : {"",     "-",     "+",     ".",
                                  "m",    "1 ",    " 1",    "1KI",
                                  "1ki",  "1K",    "1mi",   "1.2.3",
                                  "0x1",  "1e",    "1e+-3", "1e1.5",
                                  "1ee3", "10Mib", "abc",   "9223372036854775808",
                                  "8Ei",  "10E",   "1e30",  "99999999999999999999999999999999999999999999",
                                  "1,5"}) {
        SCOPED_TRACE(text);
        const auto quantity = parse_quantity(text);
        ASSERT_FALSE(quantity);
        EXPECT_EQ(quantity.error().code, Errc::Invalid);
    }
}

TEST(DivideRoundingUp, GivesWhatTheDownwardApiWrites) {
    struct Case {
        std::string_view name, dividend, divisor;
        std::int64_t want;
    };
    const Case cases[] = {
        {"a quarter of a core is one", "250m", "1", 1},
        {"millicores", "250m", "1m", 250},
        {"decimal megabytes in binary ones", "100M", "1Mi", 96},
        {"zero divisor stands for one", "3", "0", 3},
        {"exact", "2Gi", "1Gi", 2},
        {"nothing", "0", "1Mi", 0},
        {"a nano is one millicore", "1n", "1m", 1},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(divide_rounding_up(*parse_quantity(c.dividend), *parse_quantity(c.divisor)), c.want);
    }
}

}  // namespace
}  // namespace tokenlet::kube
