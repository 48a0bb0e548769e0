// SPDX-License-Identifier: Apache-2.0
// Errors as values.
//
// Shapes   Result<T> is std::expected<T, Error>; fail() and fail_errno() make the unexpected side; TRY unwraps or returns.
// Owns     its text.     Threads  any.     Errors  this is where they come from.
//
// An Error reads from the outside in: "outer: inner: cause". Each level adds once what only it knows (field, file, Pod),
// so that a person learns what was tried, on what, and why it failed. Callers branch on the code, never on the text.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace tokenlet {

// The code says what the caller can do next, and nothing finer.
enum class Errc {
    NotFound,     // absent; fine where the thing is optional
    Invalid,      // wait for other input
    Denied,       // wait, and tell a person
    Conflict,     // read again, then retry at once
    Unavailable,  // back off and retry
    Io,           // back off, keep what was there before
    Internal,     // a defect of ours
};

[[nodiscard]] std::string_view to_string(Errc code);

struct [[nodiscard]] Error {
    Errc code = Errc::Internal;
    std::string what;
    int os_errno = 0;

    // Puts "context: " in front of the text.
    Error with(std::string_view context) &&;
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] std::unexpected<Error> fail(Errc code, std::string what);

// "call(object): Permission denied". The code follows from the errno: ENOENT is NotFound, EACCES and EPERM are Denied,
// everything else is Io.
[[nodiscard]] std::unexpected<Error> fail_errno(int os_errno, std::string_view call, std::string_view object);

// The text of an errno, without the thread hazards of strerror().
[[nodiscard]] std::string errno_text(int os_errno);

}  // namespace tokenlet

// TRY(expr) is the value of a Result, or returns its error from the enclosing function; TRY(expr, "context") puts the
// context in front of the error. One per statement: nested ones shadow each other.
#define TRY(expr, ...)                                                                             \
    __extension__({                                                                                \
        auto try_result_ = (expr);                                                                 \
        if (!try_result_)                                                                          \
            return std::unexpected(std::move(try_result_.error()) __VA_OPT__(.with(__VA_ARGS__))); \
        std::move(try_result_).value();                                                            \
    })
