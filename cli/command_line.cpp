// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <initializer_list>

#include "base/did_you_mean.h"
#include "cli/text.h"

namespace tokenlet::cli {

namespace {

constexpr char kVersion[] = "tokenlet " TOKENLET_VERSION "\n";

// One verb as CLI11 knows it, and what it is once its words are read.
struct Verb {
    CLI::App* app;
    Invocation invocation;
};

// Everything that CLI11 writes into while it parses; the verbs' options live here until one is chosen.
struct Grammar {
    CLI::App top{"Gives workloads outside a kubelet their Kubernetes service account tokens."};
    AgentOptions agent{.mode = agent::Mode::Serve};
    AgentOptions once{.mode = agent::Mode::Once};
    ValidateOptions validate;
    StatusOptions status;
    ExplainOptions explain;
    WaitOptions wait;
    RotateOptions rotate;
    PruneOptions prune;
    MountsOptions mounts;
    EnrollOptions enroll;
    InspectOptions inspect;
    // As given; chosen() reads them, because its messages are better than CLI11's.
    std::string status_format = "table";
    std::string inspect_format = "table";
    std::string wait_timeout = "60s";
    std::string mounts_format = "all";
    std::string enroll_format = "yaml";
    CLI::App* agent_app = nullptr;
    CLI::App* once_app = nullptr;
    CLI::App* validate_app = nullptr;
    CLI::App* status_app = nullptr;
    CLI::App* explain_app = nullptr;
    CLI::App* wait_app = nullptr;
    CLI::App* rotate_app = nullptr;
    CLI::App* prune_app = nullptr;
    CLI::App* mounts_app = nullptr;
    CLI::App* enroll_app = nullptr;
    CLI::App* token_app = nullptr;
    CLI::App* inspect_app = nullptr;

    Grammar();
    [[nodiscard]] std::variant<Invocation, Outcome> chosen();
    [[nodiscard]] std::optional<Outcome> read_values();
};

// Extra words are let through and complained about by refuse_extras(), which knows better words than CLI11.
CLI::App* add_verb(CLI::App& parent, const char* name, const char* what, const char* examples) {
    CLI::App* app = parent.add_subcommand(name, what);
    app->group("Verbs");
    app->allow_extras();
    app->footer(std::string("Examples:\n") + examples);
    return app;
}

void add_where(CLI::App* app, Where& where) {
    app->add_option("--socket", where.socket, "The agent's socket (default: the configuration's)")->type_name("PATH");
    app->add_option("-c,--config", where.config, "The agent's configuration (default: /etc/tokenlet/agent.yaml)")
        ->type_name("FILE");
}

Grammar::Grammar() {
    top.name("tokenlet");
    top.allow_extras();
    top.set_help_flag("-h,--help", "Print this help");
    top.set_version_flag("--version", kVersion, "Print the version");
    top.get_formatter()->label("SUBCOMMAND", "VERB");
    top.get_formatter()->label("Positionals", "Arguments");
    top.get_formatter()->label("TEXT", "");
    top.get_formatter()->label("REQUIRED", "");
    top.footer(
        "Examples:\n"
        "  tokenlet validate /etc/tokenlet/agent.yaml /etc/tokenlet/manifests\n"
        "  tokenlet agent\n"
        "  tokenlet status\n"
        "\n`tokenlet VERB --help` says more about a verb.\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, or wrong manifest for validate.");

    agent_app = add_verb(top, "agent", "Run the agent: project volumes and rotate their tokens until told to stop",
                         "  tokenlet agent\n"
                         "  tokenlet agent --config ./agent.yaml");
    once_app =
        add_verb(top, "once", "Project every volume once and exit, as an init container does",
                 "  tokenlet once --config /etc/tokenlet/agent.yaml\n"
                 "\nExits with 1 when anything could not be projected, a wrong manifest included; with 3 for a wrong "
                 "configuration.");
    for (const auto& [app, options] : {std::pair{agent_app, &agent}, std::pair{once_app, &once}})
        app->add_option("-c,--config", options->config, "The configuration")->type_name("FILE")->capture_default_str();

    validate_app = add_verb(top, "validate", "Say what is wrong with manifests and configurations",
                            "  tokenlet validate /etc/tokenlet/agent.yaml\n"
                            "  tokenlet validate web.yaml accounts.yaml\n"
                            "  tokenlet validate /etc/tokenlet/agent.yaml /etc/tokenlet/manifests\n"
                            "  tokenlet validate - < web.yaml");
    validate_app->add_option("PATH", validate.paths, "A file, a directory of manifests, or - for stdin")->required();

    status_app = add_verb(top, "status", "Show what the running agent projects and when it rotates",
                          "  tokenlet status\n"
                          "  tokenlet status production/web -o wide\n"
                          "  tokenlet status -o json | jq '.pods[].ready'\n"
                          "  tokenlet status --socket /run/tokenlet/tokenlet.sock");
    status_app->add_option("POD", status.pod, "Only this Pod: NAMESPACE/NAME, or NAME in any namespace");
    status_app->add_option("-o,--output", status_format, "table, wide or json")
        ->type_name("FORMAT")
        ->capture_default_str();
    add_where(status_app, status.where);

    explain_app = add_verb(top, "explain", "Say of a Pod when each token rotates, by which rule, and what failed last",
                           "  tokenlet explain production/web\n"
                           "  tokenlet explain web --socket /run/tokenlet/tokenlet.sock");
    explain_app->add_option("POD", explain.pod, "NAMESPACE/NAME, or NAME in any namespace")->required();
    add_where(explain_app, explain.where);

    wait_app = add_verb(top, "wait", "Wait until a Pod's volumes are ready",
                        "  tokenlet wait production/web\n"
                        "  tokenlet wait web --timeout 5m");
    wait_app->add_option("POD", wait.pod, "NAMESPACE/NAME, or NAME in any namespace")->required();
    wait_app->add_option("--timeout", wait_timeout, "How long at most")->type_name("DURATION")->capture_default_str();
    add_where(wait_app, wait.where);

    rotate_app =
        add_verb(top, "rotate", "Replace a Pod's tokens now, before they are due",
                 "  tokenlet rotate production/web\n"
                 "  tokenlet rotate production/web/kube-api-access\n"
                 "\nOnly root and the agent's user and group may. The old tokens stay valid until they expire.");
    rotate_app->add_option("POD", rotate.pod, "NAMESPACE/NAME[/VOLUME], or NAME in any namespace")->required();
    add_where(rotate_app, rotate.where);

    prune_app =
        add_verb(top, "prune", "Let Pods go whose removal is held because many vanished together",
                 "  tokenlet prune\n"
                 "\nOnly root and the agent's user and group may. `tokenlet status` says what is held and why.");
    add_where(prune_app, prune.where);

    mounts_app = add_verb(top, "mounts", "Print the mounts that give a workload its Pod's volumes, ready to be pasted",
                          "  tokenlet mounts production/web\n"
                          "  tokenlet mounts web -o systemd >> web.service\n"
                          "  tokenlet mounts web -f web.yaml -o compose\n"
                          "\nReads the manifest: the Pod need not run, nor the agent. Let the workload start after "
                          "`tokenlet wait POD`.");
    mounts_app->add_option("POD", mounts.pod, "NAMESPACE/NAME, or NAME in any namespace")->required();
    mounts_app->add_option("-o,--output", mounts_format, "podman, docker, compose, systemd or all")
        ->type_name("STYLE")
        ->capture_default_str();
    mounts_app
        ->add_option("-f,--file", mounts.manifests,
                     "Manifests: a file, a directory, or - for stdin (default: the configuration's directory)")
        ->type_name("PATH");
    mounts_app
        ->add_option("-c,--config", mounts.config, "The agent's (default: /etc/tokenlet/agent.yaml, if it is there)")
        ->type_name("FILE");

    enroll_app = add_verb(
        top, "enroll", "Make a cluster know this host's agent, with an administrator's kubeconfig",
        "  tokenlet enroll --kubeconfig admin.kubeconfig --serve production/web --serve production/db\n"
        "  tokenlet enroll --serve production/web --dry-run -o yaml | kubectl apply -f -\n"
        "\nMakes an account with the least rights, what its tokens are bound to, and its first credential. Can "
        "be repeated.");
    enroll_app->add_option("--kubeconfig", enroll.kubeconfig, "The administrator's (default: as kubectl finds it)")
        ->type_name("FILE");
    enroll_app->add_option("--context", enroll.context, "In it (default: its current one)")->type_name("NAME");
    enroll_app->add_option("--serve", enroll.serves, "An account whose tokens the agent may ask for; several times")
        ->type_name("NAMESPACE/NAME")
        ->expected(1)
        ->take_all();
    enroll_app->add_flag("--dry-run", enroll.dry_run, "Print the manifests and do nothing");
    enroll_app->add_option("-o,--output", enroll_format, "yaml")->type_name("FORMAT")->capture_default_str();
    enroll_app
        ->add_option("-c,--config", enroll.config, "The agent's (default: /etc/tokenlet/agent.yaml, if it is there)")
        ->type_name("FILE");

    token_app = add_verb(top, "token", "Look at tokens",
                         "  tokenlet token inspect /run/tokenlet/by-name/production/web/kube-api-access/token");
    inspect_app = add_verb(*token_app, "inspect", "Print what a token says, never the token itself",
                           "  tokenlet token inspect /run/tokenlet/by-name/production/web/kube-api-access/token\n"
                           "  tokenlet token inspect -o json token\n"
                           "  kubectl create token frontend | tokenlet token inspect -");
    inspect_app->add_option("FILE", inspect.file, "The file that holds the token, or - for stdin")->required();
    inspect_app->add_option("-o,--output", inspect_format, "table or json")->type_name("FORMAT")->capture_default_str();
}

// "tokenlet status", for messages.
std::string full_name(const CLI::App* app) {
    return app->get_parent() == nullptr ? app->get_name() : full_name(app->get_parent()) + " " + app->get_name();
}

Outcome usage_error(const CLI::App* app, std::string what) {
    return {.code = ExitCode::Usage, .complaints = {std::move(what) + " (see " + full_name(app) + " --help)"}};
}

// The words of the verb, or of its options, for "did you mean".
std::vector<std::string> known_words(const CLI::App* app, bool options) {
    std::vector<std::string> words;
    if (!options) {
        for (const CLI::App* verb : app->get_subcommands([](const CLI::App*) { return true; }))
            words.push_back(verb->get_name());
        return words;
    }
    for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames())
            words.push_back("--" + name);
    }
    return words;
}

std::string suggestion(const CLI::App* app, const std::string& word) {
    const bool is_option = word.starts_with('-');
    const std::vector<std::string> words = known_words(app, is_option);
    const std::vector<std::string_view> views(words.begin(), words.end());
    return did_you_mean(word.substr(0, word.find('=')), views);
}

// The innermost verb that was named.
CLI::App* innermost(CLI::App* app) {
    const std::vector<CLI::App*> chosen = app->get_subcommands();
    return chosen.empty() ? app : innermost(chosen.front());
}

std::optional<Outcome> refuse_extras(CLI::App* top) {
    CLI::App* const app = innermost(top);
    for (CLI::App* level = app; level != nullptr; level = level->get_parent()) {
        const std::vector<std::string> extras = level->remaining();
        if (extras.empty())
            continue;
        const std::string& word = extras.front();
        const bool has_verbs = !known_words(level, false).empty();
        const std::string_view what = word.starts_with('-') && word != "-" ? "unknown option"
                                      : has_verbs                          ? "unknown verb"
                                                                           : "unexpected argument";
        return usage_error(level, std::string(what) + " '" + word + "'" + suggestion(level, word));
    }
    return std::nullopt;
}

// "--config is given twice", when that is what is wrong.
std::optional<std::string> repetition(const CLI::App* app) {
    for (const CLI::Option* option : app->get_options()) {
        if (option->get_items_expected_max() == 1 && option->count() > 1)
            return option->get_name() + " is given twice";
    }
    return std::nullopt;
}

template <class Format>
struct FormatName {
    std::string_view name;
    Format format;
};

// The refusal, when the name is none of these.
template <class Format>
std::optional<Outcome> read_format(const CLI::App* app, const std::string& name,
                                   std::initializer_list<FormatName<Format>> known, Format& format) {
    std::vector<std::string_view> names;
    std::string list;
    for (const FormatName<Format>& candidate : known) {
        if (candidate.name == name) {
            format = candidate.format;
            return std::nullopt;
        }
        names.push_back(candidate.name);
        list.append(list.empty() ? "" : ", ").append(candidate.name);
    }
    return usage_error(app, "--output: '" + name + "' is not one of " + list + did_you_mean(name, names));
}

std::optional<Outcome> Grammar::read_values() {
    if (status_app->parsed())
        return read_format<StatusFormat>(
            status_app, status_format,
            {{"table", StatusFormat::Table}, {"wide", StatusFormat::Wide}, {"json", StatusFormat::Json}},
            status.format);
    if (inspect_app->parsed())
        return read_format<InspectFormat>(inspect_app, inspect_format,
                                          {{"table", InspectFormat::Table}, {"json", InspectFormat::Json}},
                                          inspect.format);
    if (mounts_app->parsed())
        return read_format<std::optional<MountStyle>>(mounts_app, mounts_format,
                                                      {{"podman", MountStyle::Podman},
                                                       {"docker", MountStyle::Docker},
                                                       {"compose", MountStyle::Compose},
                                                       {"systemd", MountStyle::Systemd},
                                                       {"all", std::nullopt}},
                                                      mounts.style);
    if (enroll_app->parsed() && enroll_format != "yaml")
        return usage_error(enroll_app, "--output: '" + enroll_format + "' is not yaml");
    if (wait_app->parsed()) {
        const Result<Duration> timeout = kube::parse_duration(wait_timeout);
        if (!timeout || *timeout < Duration::zero() || *timeout > std::chrono::hours(24 * 365))
            return usage_error(wait_app, "--timeout: '" + wait_timeout + "' is no duration such as 90s or 5m");
        wait.timeout = std::chrono::ceil<std::chrono::seconds>(*timeout);
    }
    return std::nullopt;
}

std::variant<Invocation, Outcome> Grammar::chosen() {
    if (std::optional<Outcome> refused = refuse_extras(&top))
        return std::move(*refused);
    if (std::optional<Outcome> refused = read_values())
        return std::move(*refused);
    const Verb verbs[] = {{agent_app, agent},   {once_app, once},     {validate_app, validate}, {status_app, status},
                          {wait_app, wait},     {rotate_app, rotate}, {prune_app, prune},       {inspect_app, inspect},
                          {enroll_app, enroll}, {mounts_app, mounts}, {explain_app, explain}};
    for (const Verb& verb : verbs) {
        if (verb.app->parsed())
            return verb.invocation;
    }
    CLI::App* const app = innermost(&top);
    return usage_error(app, "a verb is missing");
}

// CLI11 speaks in sentences; people get one line that starts in lower case.
std::string sentence(std::string what) {
    const std::size_t end = what.find('\n');
    what = what.substr(0, end);
    if (what.size() > 1 && what[0] >= 'A' && what[0] <= 'Z' && what[1] >= 'a' && what[1] <= 'z')
        what[0] = static_cast<char>(what[0] - 'A' + 'a');
    while (what.ends_with('.'))
        what.pop_back();
    return what;
}

}  // namespace

std::variant<Invocation, Outcome> parse_command_line(std::vector<std::string> arguments) {
    Grammar grammar;
    if (arguments.empty())
        return usage_error(&grammar.top, "a verb is missing");
    std::ranges::reverse(arguments);  // CLI11 takes them from the back
    try {
        grammar.top.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
        const CLI::App* app = innermost(&grammar.top);
        return Outcome{.out = app->help(app->get_parent() == nullptr ? "" : full_name(app->get_parent()))};
    } catch (const CLI::CallForVersion&) {
        return Outcome{.out = kVersion};
    } catch (const CLI::ArgumentMismatch& error) {
        const CLI::App* app = innermost(&grammar.top);
        const std::string what = error.what();
        return usage_error(app, repetition(app).value_or(what.substr(0, what.find(':')) + " needs a value"));
    } catch (const CLI::ParseError& error) {
        // A misspelt option often makes another one missing: what was misspelt is the better message.
        if (std::optional<Outcome> refused = refuse_extras(&grammar.top))
            return std::move(*refused);
        return usage_error(innermost(&grammar.top), sentence(error.what()));
    }
    return grammar.chosen();
}

}  // namespace tokenlet::cli
