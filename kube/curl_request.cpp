// SPDX-License-Identifier: Apache-2.0
#include "kube/curl_request.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>

#include "base/secret.h"

namespace tokenlet::kube {
namespace {

// A connection whose other end has gone without a word is given up by the kernel after this long: with data under way, and,
// by keep-alive probes, without.
constexpr std::chrono::milliseconds kUnacknowledged{30'000};
constexpr long kProbeAfterSeconds = 30;
constexpr long kProbeEverySeconds = 10;

curl_blob blob_of(const Secret& bytes) {
    // Not written to, whatever the type says; it lives as long as the request's endpoint.
    return {const_cast<char*>(bytes.view().data()), bytes.size(), CURL_BLOB_NOCOPY};
}

int set_up_socket(void*, curl_socket_t socket, curlsocktype) noexcept {
    const auto milliseconds = static_cast<unsigned>(kUnacknowledged.count());
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);  // a bonus
    return CURL_SOCKOPT_OK;
}

}  // namespace

static_assert(CURL_ERROR_SIZE <= 256);

void CurlRequest::EasyCloser::operator()(Easy* easy) const noexcept {
    curl_easy_cleanup(easy);
}

void CurlRequest::ListCloser::operator()(curl_slist* list) const noexcept {
    curl_slist_free_all(list);
}

CurlRequest::CurlRequest() : easy_(curl_easy_init()) {}

CurlRequest::~CurlRequest() = default;

void CurlRequest::append(StringList& list, const char* text) {
    curl_slist* shorter = list.release();
    curl_slist* longer = curl_slist_append(shorter, text);
    list.reset(longer != nullptr ? longer : shorter);
}

template <class Value>
void CurlRequest::set(int option, Value value) {
    const CURLcode code = curl_easy_setopt(easy_.get(), static_cast<CURLoption>(option), value);
    if (code != CURLE_OK && refused_.empty())
        refused_ = curl_easy_strerror(code);
}

Result<> CurlRequest::set_up(const HttpRequest& request, const Sinks& sinks) {
    const ServerUrl url = TRY(read_server_url(request.endpoint->server), "the server's address");
    origin_ = url.origin();
    if (easy_ == nullptr)
        return fail(Errc::Invalid, origin_ + ": libcurl is out of memory");
    set(CURLOPT_PRIVATE, sinks.self);
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // a cancelled look-up of a name is not waited for
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    set(CURLOPT_PIPEWAIT, 1L);  // rather a stream of a connection that is being made than another connection
    set(CURLOPT_HEADERFUNCTION, sinks.on_header);
    set(CURLOPT_HEADERDATA, sinks.self);
    set(CURLOPT_WRITEFUNCTION, sinks.on_body);
    set(CURLOPT_WRITEDATA, sinks.self);
    set_limits(request);
    set_trust(*request.endpoint);
    set_proxy(*request.endpoint, url);
    set_address(request, url);
    set_content(request);
    if (!refused_.empty())
        return fail(Errc::Invalid, origin_ + ": libcurl cannot send this request: " + refused_);
    return {};
}

std::string CurlRequest::error_text(int curl_code) const {
    return error_.front() != '\0' ? error_.data() : curl_easy_strerror(static_cast<CURLcode>(curl_code));
}

void CurlRequest::set_limits(const HttpRequest& request) {
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_time.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.time.count()));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_TCP_KEEPIDLE, kProbeAfterSeconds);
    set(CURLOPT_TCP_KEEPINTVL, kProbeEverySeconds);
    set(CURLOPT_SOCKOPTFUNCTION, set_up_socket);
    if (!request.endpoint->disable_compression)
        set(CURLOPT_ACCEPT_ENCODING, "gzip");
}

void CurlRequest::set_trust(const HttpEndpoint& endpoint) {
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (endpoint.tls_verification == TlsVerification::Off) {
        set(CURLOPT_SSL_VERIFYPEER, 0L);
        set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!endpoint.authority_pem.empty()) {
        const curl_blob authority = blob_of(endpoint.authority_pem);
        set(CURLOPT_CAINFO_BLOB, &authority);
        // Debian's libcurl would trust those of the system as well.
        set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    if (!endpoint.certificate_pem.empty()) {
        const curl_blob certificate = blob_of(endpoint.certificate_pem);
        const curl_blob key = blob_of(endpoint.key_pem);
        set(CURLOPT_SSLCERT_BLOB, &certificate);
        set(CURLOPT_SSLKEY_BLOB, &key);
    }
}

void CurlRequest::set_proxy(const HttpEndpoint& endpoint, const ServerUrl& url) {
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_PROXY_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (endpoint.proxy_url.empty()) {
        // As client-go: what the environment says is not for this host, whose plain http would leave it with the token.
        if (url.is_loopback())
            set(CURLOPT_PROXY, "");
        return;
    }
    // The proxy looks the name up, as with client-go.
    constexpr std::string_view kSocks = "socks5://";
    Secret proxy;
    if (endpoint.proxy_url.view().starts_with(kSocks))
        proxy.append("socks5h://");
    proxy.append(endpoint.proxy_url.view().substr(proxy.empty() ? 0 : kSocks.size()));
    proxy.append({"\0", 1});
    set(CURLOPT_PROXY, proxy.view().data());
    set(CURLOPT_NOPROXY, "");
}

void CurlRequest::set_address(const HttpRequest& request, const ServerUrl& url) {
    std::string origin = url.origin();
    if (const std::string& name = request.endpoint->tls_server_name; !name.empty()) {
        // The certificate, and the name in the handshake, are those of the URL's host: so the URL has the other name, and
        // where to connect to stands apart.
        const std::string port = std::to_string(url.port);
        append(connect_to_, ("::" + url.host + ":" + port).c_str());
        append(headers_, ("Host: " + url.host + ":" + port).c_str());
        set(CURLOPT_CONNECT_TO, connect_to_.get());
        origin = url.scheme + "://" + name + ":" + port;
    }
    set(CURLOPT_URL, (origin + url.prefix + request.target).c_str());
}

void CurlRequest::set_content(const HttpRequest& request) {
    if (request.method != "GET") {
        set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
        if (request.method != "DELETE" || !request.body.empty()) {
            set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
            set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.view().data());
            append(headers_, "Expect:");  // or libcurl would wait for a 100 before a long body
        }
    }
    for (const HttpHeader& header : request.headers)
        append(headers_, (header.name + ": " + header.value).c_str());
    if (!request.bearer_token.empty()) {
        Secret line("Authorization: Bearer ");
        line.append(request.bearer_token.view());
        line.append({"\0", 1});
        append(headers_, line.view().data());
    }
    set(CURLOPT_HTTPHEADER, headers_.get());
}

}  // namespace tokenlet::kube
