// SPDX-License-Identifier: Apache-2.0
#include "projector/clean_path.h"

#include <algorithm>

namespace tokenlet::projector {
namespace {

constexpr std::size_t kMaxPath = 4096;
constexpr std::size_t kMaxElement = 255;
constexpr std::size_t kMaxQuoted = 64;  // bytes of a path that an error shows

std::unexpected<Error> bad_path(std::string_view path, std::string_view why) {
    std::string what = "path \"";
    what.append(path.substr(0, kMaxQuoted)).append(path.size() > kMaxQuoted ? "…\" " : "\" ").append(why);
    return fail(Errc::Invalid, std::move(what));
}

}  // namespace

Result<std::string> clean_path(std::string_view path) {
    if (path.size() > kMaxPath)
        return bad_path(path, "is longer than 4096 bytes");
    if (path.starts_with('/'))
        return bad_path(path, "must be relative");
    if (path.contains('\0'))
        return bad_path(path, "must not contain NUL");
    std::string clean;
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view element = path.substr(begin, end - begin);
        begin = end + 1;
        if (element.empty() || element == ".")
            continue;
        if (element == "..")
            return bad_path(path, "must not contain '..'");
        if (element.size() > kMaxElement)
            return bad_path(path, "has an element longer than 255 bytes");
        if (clean.empty() && element.starts_with(".."))
            return bad_path(path, "must not start with '..'");
        if (!clean.empty())
            clean += '/';
        clean += element;
    }
    if (clean.empty())
        return bad_path(path, "names no file");
    return clean;
}

}  // namespace tokenlet::projector
