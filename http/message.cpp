// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <strings.h>

#include <algorithm>

namespace tokenlet::http {

namespace {

Response with_type(int status, std::string_view type, std::string_view body) {
    return {.status = status, .headers = {{"Content-Type", std::string(type)}}, .body = Secret(body)};
}

}  // namespace

std::string_view Request::path() const {
    return std::string_view(target).substr(0, target.find('?'));
}

std::string_view Request::query() const {
    const std::size_t mark = target.find('?');
    return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::optional<std::string_view> Request::header(std::string_view name) const {
    const auto found = std::ranges::find_if(headers, [&](const Header& h) { return same_name(h.name, name); });
    if (found == headers.end())
        return std::nullopt;
    return found->value;
}

bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

Response text_response(int status, std::string_view text) {
    return with_type(status, "text/plain; charset=utf-8", text);
}

Response json_response(int status, std::string_view json) {
    return with_type(status, "application/json", json);
}

}  // namespace tokenlet::http
