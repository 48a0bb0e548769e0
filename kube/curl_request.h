// SPDX-License-Identifier: Apache-2.0
// An HttpRequest in libcurl's terms.
//
// Shapes   CurlRequest(request, sinks), then set_up(); easy() is ready to be added to a CurlLoop.
// Units    bytes.
// Owns     the easy handle and its lists. The request, which holds the bytes that libcurl sends, must outlive it.
// Threads  the loop's.
// Errors   set_up(): Invalid when the request cannot be sent as it is, without its headers or body.
// Source   libcurl curl_easy_setopt(3).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "kube/http_transfer.h"
#include "kube/server_url.h"

struct curl_slist;

namespace tokenlet::kube {

class CurlRequest {
public:
    using Easy = void;  // libcurl's CURL
    using Sink = std::size_t (*)(const char* bytes, std::size_t one, std::size_t size, void* self);

    // Where headers and body of the answer go; `self` comes back as libcurl's private pointer, too.
    struct Sinks {
        void* self;
        Sink on_header;
        Sink on_body;
    };

    CurlRequest();
    CurlRequest(const CurlRequest&) = delete;
    CurlRequest& operator=(const CurlRequest&) = delete;
    ~CurlRequest();

    [[nodiscard]] Result<> set_up(const HttpRequest& request, const Sinks& sinks);

    [[nodiscard]] Easy* easy() const { return easy_.get(); }
    [[nodiscard]] const std::string& origin() const { return origin_; }  // "https://host:port", for messages
    // What libcurl says of its last failure.
    [[nodiscard]] std::string error_text(int curl_code) const;

private:
    template <class Value>
    void set(int option, Value value);
    void set_limits(const HttpRequest& request);
    void set_trust(const HttpEndpoint& endpoint);
    void set_proxy(const HttpEndpoint& endpoint, const ServerUrl& url);
    void set_address(const HttpRequest& request, const ServerUrl& url);
    void set_content(const HttpRequest& request);

    struct EasyCloser {
        void operator()(Easy* easy) const noexcept;
    };
    struct ListCloser {
        void operator()(curl_slist* list) const noexcept;
    };
    using StringList = std::unique_ptr<curl_slist, ListCloser>;
    static void append(StringList& list, const char* text);

    std::string origin_;
    std::string refused_;  // what libcurl says of the first option that it did not take
    std::array<char, 256> error_{};
    StringList headers_;
    StringList connect_to_;
    std::unique_ptr<Easy, EasyCloser> easy_;  // goes before what it points at
};

}  // namespace tokenlet::kube
