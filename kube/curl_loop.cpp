// SPDX-License-Identifier: Apache-2.0
#include "kube/curl_loop.h"

#include <curl/curl.h>
#include <uv.h>

#include <utility>

#include "kube/loop_timer.h"

namespace tokenlet::kube {
namespace {

// Connections without a transfer that are kept. A handful: one server, HTTP/2.
constexpr long kKeptConnections = 16;

}  // namespace

class CurlLoop::State {
public:
    State(uv_loop_s& loop, Callbacks callbacks)
        : loop_(loop), callbacks_(std::move(callbacks)), timer_(loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }) {
        (void)curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, on_socket);
        (void)curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
        (void)curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, on_timer);
        (void)curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
        (void)curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
        (void)curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kKeptConnections);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        (void)curl_multi_cleanup(multi_);  // takes its sockets out by on_socket, so this comes before all else
    }

    bool add(CURL* easy) {
        if (curl_multi_add_handle(multi_, easy) != CURLM_OK)
            return false;
        ++size_;
        return true;
    }

    void remove(CURL* easy) {
        (void)curl_multi_remove_handle(multi_, easy);  // fails only on a handle that is not in there
        --size_;
    }

    [[nodiscard]] std::size_t size() const { return size_; }

private:
    struct Socket {
        uv_poll_t poll{};
        State* state = nullptr;
        curl_socket_t descriptor = CURL_SOCKET_BAD;
    };

    // The last thing anybody does with this object in a callback of libuv's: on_turn may end it.
    void act(curl_socket_t socket, int events) {
        int running = 0;
        (void)curl_multi_socket_action(multi_, socket, events, &running);  // what fails is told for each transfer
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE)
                continue;
            CURL* easy = message->easy_handle;
            const CURLcode code = message->data.result;
            remove(easy);
            callbacks_.on_done(easy, code);
        }
        const auto on_turn = callbacks_.on_turn;  // a copy: it may end this object, and itself with it
        on_turn();
    }

    static int on_timer(CURLM*, long timeout_ms, void* self) noexcept {
        auto& state = *static_cast<State*>(self);
        if (timeout_ms < 0)
            state.timer_.stop();
        else
            state.timer_.start(std::chrono::milliseconds(timeout_ms));
        return 0;
    }

    static int on_socket(CURL*, curl_socket_t descriptor, int what, void* self, void* assigned) noexcept {
        auto& state = *static_cast<State*>(self);
        auto* socket = static_cast<Socket*>(assigned);
        if (what == CURL_POLL_REMOVE) {
            if (socket != nullptr) {
                (void)curl_multi_assign(state.multi_, descriptor, nullptr);  // fails only on a foreign descriptor
                close(socket);
            }
            return 0;
        }
        if (socket == nullptr) {
            auto made = std::make_unique<Socket>();
            made->state = &state;
            made->descriptor = descriptor;
            if (uv_poll_init(&state.loop_, &made->poll, descriptor) < 0)
                return -1;
            socket = made.release();
            socket->poll.data = socket;
            (void)curl_multi_assign(state.multi_, descriptor, socket);  // fails only on a foreign descriptor
        }
        const int events =
            ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
        return uv_poll_start(&socket->poll, events, on_ready) < 0 ? -1 : 0;
    }

    static void on_ready(uv_poll_t* poll, int status, int events) noexcept {
        const auto& socket = *static_cast<Socket*>(poll->data);
        const int ready = status < 0 ? CURL_CSELECT_ERR
                                     : ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                                           ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
        socket.state->act(socket.descriptor, ready);
    }

    static void close(Socket* socket) noexcept {
        uv_close(reinterpret_cast<uv_handle_t*>(&socket->poll),
                 [](uv_handle_t* closed) noexcept { delete static_cast<Socket*>(closed->data); });
    }

    uv_loop_s& loop_;
    Callbacks callbacks_;
    LoopTimer timer_;
    CURLM* multi_ = curl_multi_init();
    std::size_t size_ = 0;
};

CurlLoop::CurlLoop(uv_loop_s& loop, Callbacks callbacks)
    : state_(std::make_unique<State>(loop, std::move(callbacks))) {}

CurlLoop::~CurlLoop() = default;

bool CurlLoop::add(Easy* easy) {
    return state_->add(easy);
}

void CurlLoop::remove(Easy* easy) {
    state_->remove(easy);
}

std::size_t CurlLoop::size() const {
    return state_->size();
}

}  // namespace tokenlet::kube
