// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace tokenlet {

std::string_view to_string(Errc code) {
    switch (code) {
        case Errc::NotFound:
            return "not found";
        case Errc::Invalid:
            return "invalid";
        case Errc::Denied:
            return "denied";
        case Errc::Conflict:
            return "conflict";
        case Errc::Unavailable:
            return "unavailable";
        case Errc::Io:
            return "input/output";
        case Errc::Internal:
            return "internal";
    }
    return "internal";
}

Error Error::with(std::string_view context) && {
    what.insert(0, ": ");
    what.insert(0, context);
    return std::move(*this);
}

std::unexpected<Error> fail(Errc code, std::string what) {
    return std::unexpected(Error{code, std::move(what)});
}

std::unexpected<Error> fail_errno(int os_errno, std::string_view call, std::string_view object) {
    Errc code = Errc::Io;
    if (os_errno == ENOENT)
        code = Errc::NotFound;
    else if (os_errno == EACCES || os_errno == EPERM)
        code = Errc::Denied;
    std::string what;
    what.append(call).append("(").append(object).append("): ").append(errno_text(os_errno));
    return std::unexpected(Error{code, std::move(what), os_errno});
}

std::string errno_text(int os_errno) {
    char buffer[128];
    return ::strerror_r(os_errno, buffer, sizeof buffer);
}

}  // namespace tokenlet
