// SPDX-License-Identifier: Apache-2.0
#include "kube/http_transfer.h"

#include <curl/curl.h>
#include <uv.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "kube/curl_loop.h"
#include "kube/curl_memory.h"
#include "kube/curl_request.h"
#include "kube/loop_timer.h"
#include "kube/time_text.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64 * 1024;

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
        return lower(x) == lower(y);
    });
}

HttpFailure::Kind kind_of(CURLcode code) {
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT:
            return HttpFailure::Kind::Time;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
            return HttpFailure::Kind::Trust;
        case CURLE_FILESIZE_EXCEEDED:
            return HttpFailure::Kind::Size;
        case CURLE_URL_MALFORMAT:
        case CURLE_BAD_FUNCTION_ARGUMENT:
            return HttpFailure::Kind::Request;
        default:
            return HttpFailure::Kind::Connection;
    }
}

}  // namespace

std::string_view HttpAnswer::header(std::string_view name) const {
    const auto found = all(name);
    return found.empty() ? std::string_view() : found.front();
}

std::vector<std::string_view> HttpAnswer::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const HttpHeader& header : headers)
        if (same_name(header.name, name))
            values.push_back(header.value);
    return values;
}

class HttpTransfers::Flight {
public:
    // It stands in `ready` when there is something to tell.
    Flight(uv_loop_s& loop, HttpRequest request, std::move_only_function<void(HttpResult)> done,
           std::deque<Flight*>& ready)
        : loop_(loop),
          request_(std::move(request)),
          done_(std::move(done)),
          ready_(ready),
          begun_at_ms_(uv_now(&loop)) {}
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;
    ~Flight() {
        if (home_ != nullptr)
            home_->remove(curl_.easy());
        if (handle != nullptr)
            handle->flight_ = nullptr;
        if (gone != nullptr)
            *gone = true;
    }

    // False: libcurl refuses it, take_result() says why.
    bool start(CurlLoop& home) {
        const CurlRequest::Sinks sinks{this, on_header, on_body};
        if (const auto set_up = curl_.set_up(request_, sinks); !set_up) {
            fail(HttpFailure::Kind::Request, set_up.error().what);
            return false;
        }
        if (!home.add(curl_.easy())) {
            fail(HttpFailure::Kind::Request, curl_.origin() + ": libcurl is out of memory");
            return false;
        }
        home_ = &home;
        first_home_ = &home;
        return true;
    }

    void watch_idleness(std::move_only_function<void()> on_idle) {
        if (request_.idle_time.count() <= 0)
            return;
        idle_.emplace(loop_, std::move(on_idle));
        idle_->start(request_.idle_time);
    }

    // libcurl is through with it.
    void finish(CURLcode code) {
        home_ = nullptr;
        idle_.reset();
        long connections = 0;
        (void)curl_easy_getinfo(curl_.easy(), CURLINFO_NUM_CONNECTS, &connections);
        connections_ = static_cast<std::size_t>(connections);
        if (code == CURLE_OK && !head_is_whole_) {
            // libcurl takes an end in the middle of the headers for the answer's.
            fail(HttpFailure::Kind::Connection, curl_.origin() + ": the answer was cut off in its headers");
        } else if (code == CURLE_OK) {
            answer_.status = status();
            result_.emplace(std::move(answer_));
        } else if (is_too_long_) {
            fail(HttpFailure::Kind::Size,
                 curl_.origin() + ": the answer is longer than " + std::to_string(request_.answer_bytes) + " bytes");
        } else if (code == CURLE_OPERATION_TIMEDOUT) {
            fail(HttpFailure::Kind::Time, curl_.origin() + ": " + what_took_long());
            went_unanswered_ = was_sent() && answer_.headers.empty();
        } else {
            fail(kind_of(code), curl_.origin() + ": " + curl_.error_text(code));
        }
    }

    // Nothing came for too long.
    void give_up() { give_up("nothing was heard for " + in_words(request_.idle_time)); }

    void give_up(const std::string& why) {
        home_->remove(curl_.easy());
        home_ = nullptr;
        idle_.reset();
        fail(HttpFailure::Kind::Time, curl_.origin() + ": " + why);
    }

    [[nodiscard]] bool is_finished() const { return result_.has_value(); }
    [[nodiscard]] const CurlLoop* first_home() const { return first_home_; }
    [[nodiscard]] std::size_t connections() const { return connections_; }
    [[nodiscard]] bool ran_out_of_time() const {
        return result_ && !*result_ && result_->error().kind == HttpFailure::Kind::Time;
    }
    // Sent, and nothing came back.
    [[nodiscard]] bool went_unanswered() const { return went_unanswered_; }
    // A stream under way on the same connections, of which nothing was heard since that one began.
    [[nodiscard]] bool is_as_silent_as(const Flight& other) const {
        return home_ != nullptr && first_home_ == other.first_home_ && request_.on_data &&
               heard_at_ms_ < other.begun_at_ms_;
    }
    [[nodiscard]] HttpResult take_result() { return std::move(*result_); }
    [[nodiscard]] auto take_done() { return std::move(done_); }
    [[nodiscard]] bool has_data() const { return !unread_.empty(); }
    [[nodiscard]] Secret take_data() { return std::exchange(unread_, Secret()); }
    auto& on_data() { return request_.on_data; }

    void queue() {
        if (!std::exchange(is_queued, true))
            ready_.push_back(this);
    }

    Transfer* handle = nullptr;  // the caller's, if it still has it
    bool* gone = nullptr;        // set while one of our functions runs
    bool is_queued = false;

private:
    [[nodiscard]] int status() const {
        long status = 0;
        (void)curl_easy_getinfo(curl_.easy(), CURLINFO_RESPONSE_CODE, &status);
        return static_cast<int>(status);
    }

    [[nodiscard]] bool was_sent() const {
        curl_off_t connected_us = 0;
        (void)curl_easy_getinfo(curl_.easy(), CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        return connected_us > 0;
    }

    [[nodiscard]] std::string what_took_long() const {
        if (!was_sent())
            return "no connection within " + in_words(std::min(request_.connect_time, time_or(request_.connect_time)));
        return (answer_.headers.empty() ? "no answer within " : "no whole answer within ") + in_words(request_.time);
    }
    [[nodiscard]] std::chrono::milliseconds time_or(std::chrono::milliseconds other) const {
        return request_.time.count() > 0 ? request_.time : other;
    }

    void fail(HttpFailure::Kind kind, std::string what) {
        result_.emplace(std::unexpected(HttpFailure{kind, std::move(what)}));
    }

    static std::size_t on_header(const char* bytes, std::size_t, std::size_t size, void* self) noexcept {
        auto& flight = *static_cast<Flight*>(self);
        flight.heard();
        std::string_view line(bytes, size);
        while (line.ends_with('\n') || line.ends_with('\r'))
            line.remove_suffix(1);
        if (line.starts_with("HTTP/"))
            flight.answer_.headers.clear();  // an interim answer came before
        flight.head_is_whole_ = line.empty();
        flight.header_bytes_ += size;
        if (flight.header_bytes_ > kMaxHeaderBytes)
            return 0;
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos)
            return size;
        std::string_view value = line.substr(colon + 1);
        value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
        flight.answer_.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
        return size;
    }

    static std::size_t on_body(const char* bytes, std::size_t, std::size_t size, void* self) noexcept {
        auto& flight = *static_cast<Flight*>(self);
        flight.heard();
        const int status = flight.status();
        if (flight.request_.on_data && status >= 200 && status < 300) {
            flight.unread_.append({bytes, size});
            flight.queue();
            return size;
        }
        flight.is_too_long_ = size > flight.request_.answer_bytes - flight.answer_.body.size();
        if (flight.is_too_long_)
            return 0;
        flight.answer_.body.append({bytes, size});
        return size;
    }

    void heard() {
        heard_at_ms_ = uv_now(&loop_);
        if (idle_)
            idle_->start(request_.idle_time);
    }

    uv_loop_s& loop_;
    HttpRequest request_;
    std::move_only_function<void(HttpResult)> done_;
    std::deque<Flight*>& ready_;
    std::uint64_t begun_at_ms_;
    std::uint64_t heard_at_ms_ = 0;
    bool went_unanswered_ = false;
    CurlRequest curl_;          // goes before the request, whose bytes it sends
    CurlLoop* home_ = nullptr;  // while under way
    const CurlLoop* first_home_ = nullptr;
    std::optional<LoopTimer> idle_;
    HttpAnswer answer_;
    std::size_t header_bytes_ = 0;
    bool head_is_whole_ = false;
    std::size_t connections_ = 0;
    bool is_too_long_ = false;
    Secret unread_;  // for on_data, which must not run inside libcurl
    std::optional<HttpResult> result_;
};

class HttpTransfers::State {
public:
    explicit State(uv_loop_s& loop) : loop_(loop), deliver_soon_(loop, [this] { deliver(); }) { start_over(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (gone_ != nullptr)
            *gone_ = true;
        flights_.clear();
    }

    Flight* start(HttpRequest request, std::move_only_function<void(HttpResult)> done) {
        auto owned = std::make_unique<Flight>(loop_, std::move(request), std::move(done), ready_);
        Flight* flight = owned.get();
        flights_.emplace(flight, std::move(owned));
        if (flight->start(*homes_.back())) {
            flight->watch_idleness([this, flight] {
                flight->give_up();
                flight->queue();
                deliver();
            });
        } else {
            flight->queue();
            deliver_soon_.start(std::chrono::milliseconds(0));
        }
        return flight;
    }

    void cancel(Flight* flight) {
        std::erase(ready_, flight);
        flights_.erase(flight);
    }

    [[nodiscard]] std::size_t connections_made() const { return connections_made_; }

private:
    // Requests from now on take connections of their own.
    void start_over() {
        homes_.push_back(std::make_unique<CurlLoop>(
            loop_, CurlLoop::Callbacks{.on_done = [this](CurlLoop::Easy* easy, int code) { on_done(easy, code); },
                                       .on_turn = [this] { deliver(); }}));
    }

    void on_done(CurlLoop::Easy* easy, int code) {
        char* flight = nullptr;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &flight);
        auto& finished = *static_cast<Flight*>(static_cast<void*>(flight));
        finished.finish(static_cast<CURLcode>(code));
        finished.queue();
    }

    // Whatever a function of the callers' does: destroy its flight, others, or this object.
    void deliver() {
        bool gone = false;
        gone_ = &gone;
        while (!ready_.empty()) {
            Flight* flight = ready_.front();
            ready_.pop_front();
            flight->is_queued = false;
            deliver_data(*flight, gone);
            if (gone)
                return;
        }
        gone_ = nullptr;
        // Where a request ran out of time the connections may be dead: those that are left end there.
        std::erase_if(homes_, [this](const auto& home) { return home != homes_.back() && home->size() == 0; });
    }

    void deliver_data(Flight& flight, const bool& gone) {
        if (flight.has_data()) {
            bool flight_gone = false;
            flight.gone = &flight_gone;
            const Secret data = flight.take_data();
            auto on_data = std::move(flight.on_data());  // out of the flight, which it may end
            on_data(data.view());
            if (gone || flight_gone)
                return;
            flight.gone = nullptr;
            flight.on_data() = std::move(on_data);
        }
        if (flight.is_finished())
            deliver_result(flight);
    }

    void deliver_result(Flight& flight) {
        connections_made_ += flight.connections();
        if (flight.ran_out_of_time() && flight.first_home() == homes_.back().get())
            start_over();
        if (flight.went_unanswered())
            give_up_the_silent(flight);
        HttpResult result = flight.take_result();
        auto done = flight.take_done();
        flights_.erase(&flight);
        done(std::move(result));
    }

    void give_up_the_silent(const Flight& unanswered) {
        for (const auto& [other, owned] : flights_) {
            if (!other->is_as_silent_as(unanswered))
                continue;
            other->give_up("nothing was heard, and a request went unanswered");
            other->queue();
        }
    }

    uv_loop_s& loop_;
    std::vector<std::unique_ptr<CurlLoop>> homes_;  // the last is for new requests; the others end with theirs
    std::deque<Flight*> ready_;                     // in the order in which they came; those in flights_ point at it
    std::unordered_map<Flight*, std::unique_ptr<Flight>> flights_;
    LoopTimer deliver_soon_;
    std::size_t connections_made_ = 0;
    bool* gone_ = nullptr;
};

HttpTransfers::Transfer::Transfer(Flight* flight, State& owner) noexcept : flight_(flight), owner_(&owner) {
    flight_->handle = this;
}

HttpTransfers::Transfer::Transfer(Transfer&& other) noexcept
    : flight_(std::exchange(other.flight_, nullptr)), owner_(other.owner_) {
    if (flight_ != nullptr)
        flight_->handle = this;
}

HttpTransfers::Transfer& HttpTransfers::Transfer::operator=(Transfer&& other) noexcept {
    if (this != &other) {
        cancel();
        flight_ = std::exchange(other.flight_, nullptr);
        owner_ = other.owner_;
        if (flight_ != nullptr)
            flight_->handle = this;
    }
    return *this;
}

void HttpTransfers::Transfer::cancel() noexcept {
    if (flight_ != nullptr)
        owner_->cancel(flight_);
}

HttpTransfers::HttpTransfers(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpTransfers::~HttpTransfers() = default;

Result<std::unique_ptr<HttpTransfers>> HttpTransfers::create(uv_loop_s& loop) {
    TRY(start_curl());
    return std::unique_ptr<HttpTransfers>(new HttpTransfers(std::make_unique<State>(loop)));
}

HttpTransfers::Transfer HttpTransfers::start(HttpRequest request, std::move_only_function<void(HttpResult)> done) {
    return Transfer(state_->start(std::move(request), std::move(done)), *state_);
}

std::size_t HttpTransfers::connections_made() const {
    return state_->connections_made();
}

}  // namespace tokenlet::kube
