// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/path.h"

#include <algorithm>

namespace tokenlet::fsatomic {
namespace {

std::unexpected<Error> refuse(std::string_view path, std::string_view why) {
    // A path that is too long would drown its own message.
    constexpr std::size_t kShown = 100;
    std::string shown(path.substr(0, kShown));
    for (char& c : shown)
        if (static_cast<unsigned char>(c) < ' ')
            c = '?';
    return fail(Errc::Invalid, "path '" + shown + (path.size() > kShown ? "…" : "") + "': " + std::string(why));
}

}  // namespace

Result<std::string> clean_path(std::string_view path) {
    if (path.empty())
        return refuse(path, "is empty");
    if (path.find('\0') != std::string_view::npos)
        return refuse(path, "contains a NUL byte");
    if (path.front() == '/')
        return refuse(path, "is absolute");
    if (path.size() > kMaxPathBytes)
        return refuse(path, "is longer than 4096 bytes");

    std::string clean;
    clean.reserve(path.size());
    for (std::size_t start = 0; start <= path.size();) {
        const std::size_t end = std::min(path.find('/', start), path.size());
        const std::string_view element = path.substr(start, end - start);
        start = end + 1;
        if (element == "..")
            return refuse(path, "contains '..'");
        if (element.size() > kMaxNameBytes)
            return refuse(path, "has an element longer than 255 bytes");
        if (element.empty() || element == ".")
            continue;
        if (!clean.empty())
            clean += '/';
        clean += element;
    }
    if (clean.empty())
        return refuse(path, "names no file");
    // "..data" and the generations live beside the first component; deeper down the names are free.
    if (clean.starts_with(".."))
        return refuse(path, "starts with '..', which is reserved");
    return clean;
}

std::string_view first_component(std::string_view path) {
    return path.substr(0, path.find('/'));
}

}  // namespace tokenlet::fsatomic
