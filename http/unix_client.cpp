// SPDX-License-Identifier: Apache-2.0
#include "http/unix_client.h"

#include <curl/curl.h>

#include <cerrno>
#include <memory>

namespace tokenlet::http {

namespace {

struct CleanUp {
    void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

struct Sink {
    Secret body;
    std::size_t limit;
    bool too_long = false;
};

std::size_t write_body(char* data, std::size_t, std::size_t size, void* sink) noexcept {
    Sink& to = *static_cast<Sink*>(sink);
    if (size > to.limit - to.body.size()) {
        to.too_long = true;
        return 0;
    }
    to.body.append({data, size});
    return size;
}

std::unexpected<Error> failure(CURL* handle, CURLcode code, const Sink& sink, const std::string& socket) {
    if (sink.too_long)
        return fail(Errc::Invalid, socket + ": the answer is longer than " + std::to_string(sink.limit) + " bytes");
    long os_errno = 0;
    ::curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &os_errno);
    switch (code) {
        case CURLE_COULDNT_CONNECT:
            if (os_errno == ECONNREFUSED || os_errno == ENOENT)
                return std::unexpected(Error{Errc::NotFound, socket + ": nobody listens here", int(os_errno)});
            return fail_errno(os_errno != 0 ? int(os_errno) : ECONNREFUSED, "connect", socket);
        case CURLE_OPERATION_TIMEDOUT:
            return fail(Errc::Unavailable, socket + ": no answer in time");
        default:
            return fail(code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ? Errc::Invalid
                                                                                               : Errc::Unavailable,
                        socket + ": " + ::curl_easy_strerror(code));
    }
}

}  // namespace

Result<Response> fetch(const std::string& socket, const ClientRequest& request) {
    const std::unique_ptr<CURL, CleanUp> handle(::curl_easy_init());
    if (!handle)
        return fail(Errc::Internal, "curl_easy_init failed");
    CURL* const curl = handle.get();
    Sink sink{.body = {}, .limit = request.body_bytes};
    std::unique_ptr<curl_slist, CleanUp> headers(::curl_slist_append(nullptr, "Content-Type: application/json"));

    const std::string url = "http://localhost" + request.target;
    ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    if (::curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket.c_str()) != CURLE_OK)
        return fail(Errc::Invalid, socket + ": the name of the socket is too long");
    ::curl_easy_setopt(curl, CURLOPT_PROXY, "");  // whatever the environment says: this goes nowhere but to the socket
    ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.time.count()));
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_body);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
    if (!request.body.empty()) {
        ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
        ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.view().data());
        ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    }

    const CURLcode code = ::curl_easy_perform(curl);
    if (code != CURLE_OK)
        return failure(curl, code, sink, socket);
    long status = 0;
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return Response{.status = static_cast<int>(status), .headers = {}, .body = std::move(sink.body)};
}

}  // namespace tokenlet::http
