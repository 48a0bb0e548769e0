// SPDX-License-Identifier: Apache-2.0
#include "kube/credentials.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kube/changing_file.h"
#include "kube/exec_credential.h"
#include "kube/plugin_process.h"
#include "kube/tls_material.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMaxFileBytes = 1024 * 1024;
constexpr std::string_view kBlank = " \t\r\n";

// What a Material names, as it is now.
class Source {
public:
    explicit Source(const Material& material)
        : material_(material), file_(material.file, material.file.empty() ? 0 : kMaxFileBytes) {}

    [[nodiscard]] Result<bool> look() { return file_ ? file_.look() : Result<bool>(false); }
    void forget() { file_.forget(); }
    [[nodiscard]] std::string_view bytes() const { return file_ ? file_.bytes().view() : material_.bytes.view(); }
    [[nodiscard]] bool is_given() const { return material_.is_given(); }
    [[nodiscard]] bool is_file() const { return !material_.file.empty(); }
    // Where a person has to look.
    [[nodiscard]] std::string where() const {
        return is_file() ? material_.where + ": " + material_.file : material_.where;
    }

private:
    const Material& material_;
    ChangingFile file_;
};

Result<std::string_view> token_in(std::string_view text) {
    const std::size_t start = text.find_first_not_of(kBlank);
    if (start == std::string_view::npos)
        return fail(Errc::Invalid, "holds no token");
    const std::string_view token = text.substr(start, text.find_last_not_of(kBlank) - start + 1);
    if (!std::ranges::all_of(token, [](unsigned char byte) { return byte > ' ' && byte < 0x7f; }))
        return fail(Errc::Invalid, "holds a character that no token has");
    return token;
}

Error as_passing(Error error) {
    error.code = Errc::Unavailable;
    return error;
}

}  // namespace

class Credentials::State {
public:
    State(uv_loop_s& loop, const ClusterAccess& access, CredentialOptions options)
        : loop_(loop),
          access_(access),
          options_(std::move(options)),
          token_(access.user.token),
          certificate_(access.user.client_certificate),
          key_(access.user.client_key) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (gone_ != nullptr)
            *gone_ = true;
    }

    [[nodiscard]] Result<> read_everything() {
        current_.version = 1;
        TRY(refresh_token());
        TRY(refresh_pair());
        // What stands in the kubeconfig itself will not be replaced.
        if (times_ && !certificate_.is_file()) {
            if (auto valid = check_times(*times_, options_.clocks().wall); !valid)
                return fail(Errc::Invalid, certificate_.where() + ": " + valid.error().what);
        }
        return {};
    }

    void with_current(std::move_only_function<void(CredentialResult)> use) {
        if (access_.user.exec)
            return with_plugin(std::move(use));
        // What fails leaves what was: a reader may be faster than the writer of two files.
        problem_.clear();
        for (const Result<>& refreshed : {refresh_token(), refresh_pair()})
            if (!refreshed)
                problem_ = refreshed.error().what;
        use(usable());
    }

    [[nodiscard]] const std::string& problem() const { return problem_; }

    void refused(std::uint64_t version) {
        if (version != current_.version)
            return;
        for (Source* source : {&token_, &certificate_, &key_})
            source->forget();
        // A plugin that was asked just now would hardly say anything else.
        if (options_.clocks().boot - plugin_ended_ >= options_.plugin_pause)
            has_plugin_credential_ = false;
    }

private:
    [[nodiscard]] Result<> refresh_token() {
        if (!token_.is_given())
            return {};
        const bool is_new = TRY(token_.look(), access_.user.token.where) || token_is_waiting_;
        if (!is_new && !current_.token.empty())
            return {};
        token_is_waiting_ = true;
        const std::string_view token = TRY(token_in(token_.bytes()), token_.where());
        token_is_waiting_ = false;
        current_.token = Secret(token);
        ++current_.version;
        return {};
    }

    [[nodiscard]] Result<> refresh_pair() {
        if (!certificate_.is_given())
            return {};
        const bool certificate_changed = TRY(certificate_.look(), access_.user.client_certificate.where);
        const bool key_changed = TRY(key_.look(), access_.user.client_key.where);
        const bool is_new = certificate_changed || key_changed || pair_is_waiting_;
        if (!is_new && !current_.certificate_pem.empty())
            return {};
        // Until both fit, both are looked at again.
        pair_is_waiting_ = true;
        times_ = TRY(read_client_pair({certificate_.bytes(), certificate_.where(), key_.bytes(), key_.where()}));
        pair_is_waiting_ = false;
        current_.certificate_pem = Secret(certificate_.bytes());
        current_.key_pem = Secret(key_.bytes());
        ++current_.version;
        return {};
    }

    [[nodiscard]] CredentialResult usable() {
        if (times_) {
            if (auto valid = check_times(*times_, options_.clocks().wall); !valid)
                return std::unexpected(std::move(valid.error()).with(certificate_where()));
        }
        return &current_;
    }

    [[nodiscard]] std::string certificate_where() const {
        return access_.user.exec ? access_.user.exec->where : certificate_.where();
    }

    void with_plugin(std::move_only_function<void(CredentialResult)> use) {
        const Now now = options_.clocks();
        const bool is_over = plugin_expires_ && now.wall >= *plugin_expires_;
        if (has_plugin_credential_ && !is_over && (!times_ || check_times(*times_, now.wall)))
            return use(usable());
        if (plugin_problem_ && now.boot - plugin_ended_ < options_.plugin_pause)
            return use(std::unexpected(*plugin_problem_));
        waiting_.push_back(std::move(use));
        if (!plugin_)
            run_plugin();
    }

    void run_plugin() {
        const ExecPlugin& plugin = *access_.user.exec;
        PluginCommand command{.program = plugin.command,
                              .args = plugin.args,
                              .env = plugin.env,
                              .time = options_.plugin_time,
                              .output_bytes = kMaxPluginBytes,
                              .words_bytes = kMaxPluginWords};
        command.env.emplace_back("KUBERNETES_EXEC_INFO", exec_info(plugin, access_.cluster, authority_pem()));
        plugin_ = PluginProcess::start(loop_, std::move(command),
                                       [this](Result<Secret> output) { on_plugin_ended(std::move(output)); });
    }

    [[nodiscard]] std::string authority_pem() const {
        Source authority(access_.cluster.certificate_authority);
        if (!authority.look())
            return "";  // the plugin does without; a call to the server says what is wrong
        return std::string(authority.bytes());
    }

    void on_plugin_ended(Result<Secret> output) {
        plugin_ended_ = options_.clocks().boot;
        plugin_.reset();
        auto taken = take_plugin_credential(std::move(output));
        plugin_problem_.reset();
        if (!taken) {
            const ExecPlugin& plugin = *access_.user.exec;
            Error problem = as_passing(std::move(taken.error()).with(plugin.where));
            if (!plugin.install_hint.empty())
                problem.what += "; the kubeconfig's hint: " + last_words(plugin.install_hint, kMaxPluginWords);
            plugin_problem_ = std::move(problem);
        }
        tell_waiting();
    }

    [[nodiscard]] Result<> take_plugin_credential(Result<Secret> output) {
        const ExecPlugin& plugin = *access_.user.exec;
        const Secret printed = TRY(std::move(output));
        const WallTime now = options_.clocks().wall;
        ExecCredential credential = TRY(read_exec_credential(printed.view(), plugin.api_version, now), plugin.command);
        std::optional<CertificateTimes> times;
        if (!credential.certificate_pem.empty()) {
            times = TRY(read_client_pair({credential.certificate_pem.view(), "clientCertificateData",
                                          credential.key_pem.view(), "clientKeyData"}),
                        plugin.command);
            TRY(check_times(*times, now), plugin.command);
        }
        current_.token = std::move(credential.token);
        current_.certificate_pem = std::move(credential.certificate_pem);
        current_.key_pem = std::move(credential.key_pem);
        ++current_.version;
        times_ = times;
        plugin_expires_ = credential.expires_at;
        has_plugin_credential_ = true;
        return {};
    }

    // Each may ask again, or destroy this object.
    void tell_waiting() {
        auto waiting = std::exchange(waiting_, {});
        bool gone = false;
        gone_ = &gone;
        for (auto& use : waiting) {
            if (plugin_problem_)
                use(std::unexpected(*plugin_problem_));
            else
                use(usable());
            if (gone)
                return;
        }
        gone_ = nullptr;
    }

    uv_loop_s& loop_;
    const ClusterAccess& access_;
    CredentialOptions options_;
    Source token_;
    Source certificate_;
    Source key_;
    Credential current_;
    std::optional<CertificateTimes> times_;  // of the client certificate in current_
    bool token_is_waiting_ = false;          // what the file holds is none
    bool pair_is_waiting_ = false;           // what the files hold does not fit
    std::string problem_;
    std::vector<std::move_only_function<void(CredentialResult)>> waiting_;
    bool has_plugin_credential_ = false;
    std::optional<WallTime> plugin_expires_;
    std::optional<Error> plugin_problem_;
    BootTime plugin_ended_{BootTime::min().time_since_epoch() / 2};  // never yet
    bool* gone_ = nullptr;
    std::unique_ptr<PluginProcess> plugin_;
};

Credentials::Credentials(std::unique_ptr<State> state) : state_(std::move(state)) {}

Credentials::~Credentials() = default;

Result<std::unique_ptr<Credentials>> Credentials::create(uv_loop_s& loop, const ClusterAccess& access,
                                                         CredentialOptions options) {
    auto state = std::make_unique<State>(loop, access, std::move(options));
    TRY(state->read_everything());
    return std::unique_ptr<Credentials>(new Credentials(std::move(state)));
}

void Credentials::with_current(std::move_only_function<void(CredentialResult)> use) {
    state_->with_current(std::move(use));
}

void Credentials::refused(std::uint64_t version) {
    state_->refused(version);
}

const std::string& Credentials::problem() const {
    return state_->problem();
}

}  // namespace tokenlet::kube
