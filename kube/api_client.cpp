// SPDX-License-Identifier: Apache-2.0
#include "kube/api_client.h"

#include <uv.h>

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "kube/changing_file.h"
#include "kube/http_transfer.h"
#include "kube/loop_timer.h"
#include "kube/time_text.h"
#include "kube/tls_material.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMaxAuthorityBytes = 4 * 1024 * 1024;

// RFC 3986 section 2.3.
bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

std::string escaped(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string made;
    for (const char c : text) {
        if (is_unreserved(c)) {
            made += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        made += '%';
        made += kDigits[byte >> 4];
        made += kDigits[byte & 15];
    }
    return made;
}

// The shop of "/api/v1/namespaces/shop/serviceaccounts/web/token".
std::string_view namespace_of(std::string_view path) {
    constexpr std::string_view kSegment = "/namespaces/";
    const std::size_t at = path.find(kSegment);
    if (at == std::string_view::npos)
        return {};
    const std::string_view behind = path.substr(at + kSegment.size());
    return behind.substr(0, behind.find('/'));
}

// `299 - "text with \" in it"` -> the text.
std::string warning_text(std::string_view header) {
    const std::size_t start = header.find('"');
    if (start == std::string_view::npos)
        return std::string(header);
    std::string text;
    for (std::size_t i = start + 1; i < header.size() && header[i] != '"'; ++i) {
        if (header[i] == '\\' && i + 1 < header.size())
            ++i;
        text += header[i];
    }
    return text;
}

std::vector<std::string> warnings_in(const HttpAnswer& answer) {
    std::vector<std::string> texts;
    for (const std::string_view header : answer.all("warning"))
        texts.push_back(warning_text(header));
    return texts;
}

void add_impersonation(const Impersonation& as, std::vector<HttpHeader>& headers) {
    if (!as.user.empty())
        headers.push_back({"Impersonate-User", as.user});
    if (!as.uid.empty())
        headers.push_back({"Impersonate-Uid", as.uid});
    for (const std::string& group : as.groups)
        headers.push_back({"Impersonate-Group", group});
    for (const auto& [key, value] : as.extra)
        headers.push_back({"Impersonate-Extra-" + escaped(key), value});
}

}  // namespace

std::string api_path(std::initializer_list<std::string_view> segments) {
    std::string path;
    for (const std::string_view segment : segments)
        path += "/" + escaped(segment);
    return path;
}

std::string api_query(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters) {
    std::string query;
    for (const auto& [name, value] : parameters)
        query += (query.empty() ? "" : "&") + escaped(name) + "=" + escaped(value);
    return query;
}

class ApiClient::Flight {
public:
    Flight(ApiRequest asked, std::move_only_function<void(ApiResult)> when_done)
        : request(std::move(asked)), done(std::move(when_done)) {
        if (request.what.empty())
            request.what = request.method + " " + request.path;
    }
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;
    ~Flight() {
        if (handle != nullptr)
            handle->flight_ = nullptr;
        if (gone != nullptr)
            *gone = true;
    }

    ApiRequest request;
    std::move_only_function<void(ApiResult)> done;
    ApiCall* handle = nullptr;  // the caller's, if it still has it
    HttpTransfers::Transfer transfer;
    std::uint64_t id = 0;
    std::uint64_t credential_version = 0;
    bool was_unauthorized = false;
    bool* gone = nullptr;  // set while on_data runs
};

class ApiClient::State {
public:
    State(uv_loop_s& loop, ClusterAccess access, ApiClientOptions options)
        : loop_(loop),
          access_(std::move(access)),
          options_(std::move(options)),
          authority_(access_.cluster.certificate_authority.file, kMaxAuthorityBytes),
          begin_soon_(loop, [this] { begin_all(); }),
          quiet_(loop, [this] { on_quiet(); }) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (gone_ != nullptr)
            *gone_ = true;
        flights_.clear();
    }

    [[nodiscard]] Result<> start(uv_loop_s& loop) {
        const Material& authority = access_.cluster.certificate_authority;
        if (authority_)
            TRY(authority_.look(), authority.where);
        trusted_ = authority_ ? authority_.bytes().copy() : authority.bytes.copy();
        if (authority.is_given())
            TRY(check_authorities(trusted_.view()), authority_where());
        credentials_ = TRY(Credentials::create(loop, access_, options_.credentials));
        transfers_ = TRY(HttpTransfers::create(loop));
        return {};
    }

    Flight* request(ApiRequest asked, std::move_only_function<void(ApiResult)> done) {
        auto flight = std::make_unique<Flight>(std::move(asked), std::move(done));
        flight->id = ++last_id_;
        Flight* raw = flight.get();
        flights_.emplace(raw->id, std::move(flight));
        beginning_.push_back(raw->id);
        begin_soon_.start(std::chrono::milliseconds(0));
        return raw;
    }

    void cancel(std::uint64_t id) { flights_.erase(id); }

    [[nodiscard]] const ClusterAccess& access() const { return access_; }
    [[nodiscard]] ApiClientFigures figures() const {
        ApiClientFigures now = figures_;
        now.connections = transfers_->connections_made();
        return now;
    }

private:
    [[nodiscard]] Flight* find(std::uint64_t id) {
        const auto found = flights_.find(id);
        return found == flights_.end() ? nullptr : found->second.get();
    }

    void begin_all() {
        bool gone = false;
        bool* const before = std::exchange(gone_, &gone);
        for (const std::uint64_t id : std::exchange(beginning_, {})) {
            begin(id);
            if (gone)
                return;
        }
        gone_ = before;
    }

    void begin(std::uint64_t id) {
        if (find(id) == nullptr)
            return;
        credentials_->with_current([this, id](CredentialResult credential) {
            Flight* flight = find(id);
            if (flight == nullptr)
                return;
            if (!credential)
                return finish(
                    *flight,
                    std::unexpected(ApiError{.error = std::move(credential.error()).with(flight->request.what)}));
            send(*flight, **credential);
        });
    }

    void send(Flight& flight, const Credential& credential) {
        flight.credential_version = credential.version;
        const ApiRequest& asked = flight.request;
        HttpRequest request{.endpoint = endpoint_for(credential),
                            .method = asked.method,
                            .target = asked.query.empty() ? asked.path : asked.path + "?" + asked.query,
                            .headers = {{"Accept", asked.accept}, {"User-Agent", options_.user_agent}},
                            .bearer_token = credential.token.copy(),
                            .body = asked.body.copy(),
                            .connect_time = options_.connect_time,
                            .time = asked.time,
                            .idle_time = asked.idle_time,
                            .answer_bytes = asked.answer_bytes};
        if (!asked.body.empty())
            request.headers.push_back({"Content-Type", asked.content_type});
        add_impersonation(access_.user.impersonation, request.headers);
        const std::uint64_t id = flight.id;
        if (asked.on_data) {
            request.on_data = [this, id](std::string_view data) { on_data(id, data); };
            if (!quiet_.is_armed() && !awaits_sign_of_life_)
                quiet_.start(options_.quiet_time);
        }
        ++figures_.requests;
        flight.transfer = transfers_->start(std::move(request), [this, id](HttpResult result) {
            on_result(*find(id), std::move(result));  // there: a flight that goes takes its transfer with it
        });
    }

    void on_data(std::uint64_t id, std::string_view data) {
        heard_at_ms_ = uv_now(&loop_);
        Flight& flight = *find(id);
        bool gone = false;
        flight.gone = &gone;
        auto use = std::move(flight.request.on_data);  // out of the flight, which it may end
        use(data);
        if (gone)
            return;
        flight.gone = nullptr;
        flight.request.on_data = std::move(use);
    }

    void on_result(Flight& flight, HttpResult result) {
        if (!result) {
            ++figures_.failures;
            return finish(flight, std::unexpected(no_answer(flight, result.error())));
        }
        heard_at_ms_ = uv_now(&loop_);
        const HttpAnswer& answer = *result;
        if (answer.status >= 200 && answer.status < 300)
            return finish(flight, ApiAnswer{.http_status = answer.status,
                                            .body = std::move(result->body),
                                            .warnings = warnings_in(answer),
                                            .server_time = parse_http_date(answer.header("date"))});
        count(answer.status);
        if (answer.status == 401 && !flight.was_unauthorized)
            return ask_again(flight, refusal(flight, answer));
        finish(flight, std::unexpected(refusal(flight, answer)));
    }

    // HTTP/2 has PING for this, which libcurl cannot wait for. Any answer will do.
    void on_quiet() {
        if (!std::ranges::any_of(flights_, [](const auto& flight) { return bool(flight.second->request.on_data); }))
            return;
        const std::chrono::milliseconds heard_ago(uv_now(&loop_) - heard_at_ms_);
        if (heard_ago < options_.quiet_time)
            return quiet_.start(options_.quiet_time - heard_ago);
        awaits_sign_of_life_ = true;
        request({.path = "/livez", .time = options_.sign_of_life_time}, [this](const ApiResult&) {
            awaits_sign_of_life_ = false;
            quiet_.start(options_.quiet_time);
        });
    }

    // With another credential, where there is one.
    void ask_again(Flight& flight, ApiError refused) {
        flight.was_unauthorized = true;
        credentials_->refused(flight.credential_version);
        const std::uint64_t id = flight.id;
        credentials_->with_current([this, id, refused = std::move(refused)](CredentialResult credential) mutable {
            Flight* waiting = find(id);
            if (waiting == nullptr)
                return;
            if (credential && (*credential)->version != waiting->credential_version)
                return send(*waiting, **credential);
            if (!credential)
                refused.error.what += "; and no other credential: " + credential.error().what;
            finish(*waiting, std::unexpected(std::move(refused)));
        });
    }

    [[nodiscard]] ApiError refusal(const Flight& flight, const HttpAnswer& answer) const {
        ApiError error = read_refusal({.what = flight.request.what,
                                       .ns = namespace_of(flight.request.path),
                                       .http_status = answer.status,
                                       .body = answer.body.view(),
                                       .retry_after = answer.header("retry-after"),
                                       .date = answer.header("date"),
                                       .now = options_.credentials.clocks().wall});
        if (answer.status == 401) {
            error.error.what += " (" + credential_where() + ")";
            if (const std::string& problem = credentials_->problem(); !problem.empty())
                error.error.what += "; there is no newer one: " + problem;
        }
        return error;
    }

    [[nodiscard]] ApiError no_answer(const Flight& flight, const HttpFailure& failure) const {
        std::string what = flight.request.what + ": " + failure.what;
        if (failure.kind == HttpFailure::Kind::Trust && access_.cluster.tls_verification == TlsVerification::On)
            what += "; trusted is " + authority_where();
        // An answer that is too long, or a request that cannot be sent, will be no other the next time.
        const bool is_final = failure.kind == HttpFailure::Kind::Size || failure.kind == HttpFailure::Kind::Request;
        return ApiError{.error = Error{is_final ? Errc::Invalid : Errc::Unavailable, std::move(what)}};
    }

    [[nodiscard]] std::string authority_where() const {
        const Material& authority = access_.cluster.certificate_authority;
        if (!authority.is_given())
            return "what this system trusts, since the kubeconfig names no certificate-authority";
        return authority.file.empty() ? authority.where : authority.where + ": " + authority.file;
    }

    [[nodiscard]] std::string credential_where() const {
        const User& user = access_.user;
        if (user.exec)
            return "from " + user.exec->where;
        if (user.token.is_given())
            return "from " + (user.token.file.empty() ? user.token.where : user.token.file);
        if (user.client_certificate.is_given())
            return "from " + (user.client_certificate.file.empty() ? user.client_certificate.where
                                                                   : user.client_certificate.file);
        return access_.name + " holds no credential";
    }

    void count(int http_status) {
        figures_.unauthorized += http_status == 401 ? 1 : 0;
        figures_.throttled += http_status == 429 ? 1 : 0;
        figures_.failures += http_status >= 500 ? 1 : 0;
    }

    // done may destroy this object: nothing comes after it.
    void finish(Flight& flight, ApiResult result) {
        auto done = std::move(flight.done);
        flights_.erase(flight.id);
        done(std::move(result));
    }

    // The same one as long as neither CA nor client certificate has changed: connections are kept by it.
    [[nodiscard]] std::shared_ptr<const HttpEndpoint> endpoint_for(const Credential& credential) {
        const bool authority_changed = read_authority();
        if (endpoint_ && !authority_changed && endpoint_->certificate_pem == credential.certificate_pem &&
            endpoint_->key_pem == credential.key_pem)
            return endpoint_;
        const Cluster& cluster = access_.cluster;
        auto endpoint = std::make_shared<HttpEndpoint>();
        endpoint->server = cluster.server;
        endpoint->tls_server_name = cluster.tls_server_name;
        endpoint->tls_verification = cluster.tls_verification;
        endpoint->authority_pem = trusted_.copy();
        endpoint->certificate_pem = credential.certificate_pem.copy();
        endpoint->key_pem = credential.key_pem.copy();
        endpoint->proxy_url = cluster.proxy_url.copy();
        endpoint->disable_compression = cluster.disable_compression;
        endpoint_ = std::move(endpoint);
        return endpoint_;
    }

    // True: the file holds other CAs now. One that cannot be read, or holds none, leaves those that were.
    [[nodiscard]] bool read_authority() {
        if (!authority_)
            return false;
        const auto changed = authority_.look();
        if (!changed || !*changed || !check_authorities(authority_.bytes().view()))
            return false;
        trusted_ = authority_.bytes().copy();
        return true;
    }

    uv_loop_s& loop_;
    ClusterAccess access_;
    ApiClientOptions options_;
    ChangingFile authority_;
    Secret trusted_;  // what it held when it last held CAs
    std::shared_ptr<const HttpEndpoint> endpoint_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Flight>> flights_;
    std::uint64_t last_id_ = 0;
    std::deque<std::uint64_t> beginning_;
    LoopTimer begin_soon_;
    LoopTimer quiet_;  // armed while there are streams, unless a sign of life is waited for
    bool awaits_sign_of_life_ = false;
    std::uint64_t heard_at_ms_ = 0;
    ApiClientFigures figures_;
    bool* gone_ = nullptr;
    std::unique_ptr<Credentials> credentials_;
    std::unique_ptr<HttpTransfers> transfers_;
};

ApiCall::ApiCall(ApiClient::Flight* flight, ApiClient::State& owner) noexcept : flight_(flight), owner_(&owner) {
    flight_->handle = this;
}

ApiCall::ApiCall(ApiCall&& other) noexcept : flight_(std::exchange(other.flight_, nullptr)), owner_(other.owner_) {
    if (flight_ != nullptr)
        flight_->handle = this;
}

ApiCall& ApiCall::operator=(ApiCall&& other) noexcept {
    if (this != &other) {
        cancel();
        flight_ = std::exchange(other.flight_, nullptr);
        owner_ = other.owner_;
        if (flight_ != nullptr)
            flight_->handle = this;
    }
    return *this;
}

void ApiCall::leave_to_client() noexcept {
    if (flight_ != nullptr)
        std::exchange(flight_, nullptr)->handle = nullptr;
}

void ApiCall::cancel() noexcept {
    if (flight_ != nullptr)
        owner_->cancel(flight_->id);
}

ApiClient::ApiClient(std::unique_ptr<State> state) : state_(std::move(state)) {}

ApiClient::~ApiClient() = default;

Result<std::unique_ptr<ApiClient>> ApiClient::create(uv_loop_s& loop, ClusterAccess access, ApiClientOptions options) {
    auto state = std::make_unique<State>(loop, std::move(access), std::move(options));
    TRY(state->start(loop));
    return std::unique_ptr<ApiClient>(new ApiClient(std::move(state)));
}

ApiCall ApiClient::request(ApiRequest request, std::move_only_function<void(ApiResult)> done) {
    return ApiCall(state_->request(std::move(request), std::move(done)), *state_);
}

const ClusterAccess& ApiClient::access() const {
    return state_->access();
}

ApiClientFigures ApiClient::figures() const {
    return state_->figures();
}

std::vector<std::string> ApiClient::warnings() const {
    if (state_->access().cluster.tls_verification == TlsVerification::On)
        return {};
    return {state_->access().name + ": insecure-skip-tls-verify is true, so whoever answers at " +
            state_->access().cluster.server + " is believed, and sent the credential"};
}

}  // namespace tokenlet::kube
