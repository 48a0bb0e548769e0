// SPDX-License-Identifier: Apache-2.0
#include "kube/server_url.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace tokenlet::kube {
namespace {

struct Parts {
    std::string scheme;
    std::string_view authority;
    std::string_view rest;
};

bool has_blank_or_control(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char byte) { return byte <= ' ' || byte >= 0x7f; });
}

std::string lower(std::string_view text) {
    std::string made(text);
    for (char& letter : made)
        if (letter >= 'A' && letter <= 'Z')
            letter = static_cast<char>(letter - 'A' + 'a');
    return made;
}

Result<Parts> split(std::string_view text, std::string_view expected) {
    if (has_blank_or_control(text))
        return fail(Errc::Invalid, "holds a character that no URL has");
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos)
        return fail(Errc::Invalid, "must start with " + std::string(expected));
    const std::string_view behind = text.substr(colon + 3);
    const std::size_t end = std::min(behind.find_first_of("/?#"), behind.size());
    return Parts{lower(text.substr(0, colon)), behind.substr(0, end), behind.substr(end)};
}

bool is_host_name(std::string_view host) {
    return !host.empty() && std::ranges::all_of(host, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    });
}

bool is_bracketed_address(std::string_view host) {
    return host.size() > 4 && host.front() == '[' && host.back() == ']' &&
           std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
               return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
                      c == '.';
           });
}

Result<> read_authority(std::string_view authority, ServerUrl& url) {
    const std::size_t bracket = authority.rfind(']');
    const std::size_t colon = authority.rfind(':');
    const bool has_port = colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    url.host = authority.substr(0, has_port ? colon : authority.size());
    if (!is_host_name(url.host) && !is_bracketed_address(url.host))
        return fail(Errc::Invalid, "names no host");
    if (!has_port)
        return {};
    const std::string_view digits = authority.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc() || end != digits.data() + digits.size() || url.port == 0)
        return fail(Errc::Invalid, "has a port that is no number from 1 to 65535");
    return {};
}

}  // namespace

bool ServerUrl::is_loopback() const {
    return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

std::string ServerUrl::origin() const {
    return scheme + "://" + host + ":" + std::to_string(port);
}

Result<ServerUrl> read_server_url(std::string_view text) {
    const Parts parts = TRY(split(text, "https://"));
    if (parts.scheme != "https" && parts.scheme != "http")
        return fail(Errc::Invalid, "must start with https://");
    ServerUrl url{.scheme = parts.scheme,
                  .host = {},
                  .port = static_cast<std::uint16_t>(parts.scheme == "https" ? 443 : 80),
                  .prefix = {}};
    if (parts.authority.contains('@'))
        return fail(Errc::Invalid, "must not name a user or a password; credentials stand in users[].user");
    TRY(read_authority(parts.authority, url));
    if (parts.rest.find_first_of("?#") != std::string_view::npos)
        return fail(Errc::Invalid, "must end with the path: no '?' and no '#'");
    url.prefix = parts.rest;
    while (url.prefix.ends_with('/'))
        url.prefix.pop_back();
    if (parts.scheme == "http" && !url.is_loopback())
        return fail(Errc::Invalid,
                    "is plain http to another machine, where the token could be read on its way; use https://");
    return url;
}

Result<> check_proxy_url(std::string_view text) {
    constexpr std::string_view kExpected = "http://, https:// or socks5://";
    const Parts parts = TRY(split(text, kExpected));
    if (parts.scheme != "http" && parts.scheme != "https" && parts.scheme != "socks5")
        return fail(Errc::Invalid, "must start with " + std::string(kExpected));
    const std::size_t at = parts.authority.rfind('@');
    ServerUrl url;
    return read_authority(parts.authority.substr(at == std::string_view::npos ? 0 : at + 1), url);
}

}  // namespace tokenlet::kube
