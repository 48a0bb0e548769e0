// SPDX-License-Identifier: Apache-2.0
// Keeping up with some objects of an API server: what to ask next, and what the answers mean.
//
//     call = reflector.begin(random);          // GET path?call.query, streamed unless call.step is List
//     news = TRY(reflector.feed(bytes));       // of a watch, as they come; take_list() for the answer to a list
//     pause = reflector.ended(error, random);  // the call is over: when to begin() again
//
// Shapes   a step function: knows no connection and no clock. Begins with a streamed list (a watch that starts with what
//          there is), falls back to list and watch for servers that cannot, resumes where the last watch ended, and lists
//          anew when the server has forgotten that place (410). What is known stays until a complete newer list replaces it.
// Units    base/time.h; bytes.
// Owns     the objects' JSON, wiped: it may be a Secret's.
// Threads  one.
// Errors   feed() and take_list(): Unavailable, for an answer that is none; the call is then to be given up, and
//          watch_error() says what the server said, if it was the server that did.
// Source   kubernetes client-go tools/cache/reflector.go; KEP-3157 (streamed lists).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "kube/api_status.h"

namespace tokenlet::kube {

struct Node;

inline constexpr std::size_t kMaxWatchLine = 8 * 1024 * 1024;  // more than an object may have
inline constexpr std::chrono::seconds kWatchTime{300};         // to which up to half as much is added, at random

struct ReflectorTarget {
    std::string api_version;  // "v1"
    std::string kind;         // "ConfigMap": what items of a list are
    std::string field_selector;
    std::string what;  // for messages: "ConfigMap shop/web"
};

class Reflector {
public:
    enum class Step { List, Watch, StreamedList };

    struct Call {
        Step step = Step::List;
        std::string query;
        std::chrono::seconds time{};  // after which the server ends a watch by itself
    };

    explicit Reflector(ReflectorTarget target) : target_(std::move(target)) {}

    [[nodiscard]] Call begin(std::uint64_t random);

    // True: objects() has become something else, or known.
    [[nodiscard]] Result<bool> feed(std::string_view bytes);
    [[nodiscard]] Result<bool> take_list(std::string_view answer);

    // Why the call ended, null when in good order. Gives the pause until begin(). `random` is 64 uniform bits.
    [[nodiscard]] Duration ended(const ApiError* error, std::uint64_t random);

    [[nodiscard]] bool is_known() const { return known_; }
    [[nodiscard]] unsigned failures() const { return failures_; }                                      // calls in a row
    [[nodiscard]] const std::map<std::string, tokenlet::Secret>& objects() const { return objects_; }  // name -> JSON
    [[nodiscard]] const std::optional<ApiError>& watch_error() const { return watch_error_; }
    [[nodiscard]] const ReflectorTarget& target() const { return target_; }

    // Of this server or another target on it: lists are not streamed.
    void never_stream() { streams_ = false; }
    [[nodiscard]] bool streams() const { return streams_; }

private:
    struct Objects {
        std::map<std::string, tokenlet::Secret> json;
        std::map<std::string, std::string> versions;
    };
    [[nodiscard]] Result<bool> take_line(std::string_view line);
    [[nodiscard]] Result<bool> take_event(const Node& event);
    [[nodiscard]] bool replace(Objects objects);
    [[nodiscard]] tokenlet::Secret json_of(const Node& object) const;

    ReflectorTarget target_;
    bool streams_ = true;
    Step step_ = Step::List;
    bool known_ = false;
    bool listing_ = false;  // a streamed list has not come to its end
    bool heard_ = false;    // something in this call
    std::string version_;   // up to which everything is known; empty: nothing is, and a list comes first
    unsigned failures_ = 0;
    std::optional<ApiError> watch_error_;
    tokenlet::Secret line_;  // begun, not yet ended
    std::map<std::string, tokenlet::Secret> objects_;
    std::map<std::string, std::string> versions_;
    Objects listed_;
};

}  // namespace tokenlet::kube
