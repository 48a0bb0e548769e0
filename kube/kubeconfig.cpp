// SPDX-License-Identifier: Apache-2.0
#include "kube/kubeconfig.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "base/base64.h"
#include "base/did_you_mean.h"
#include "base/file_bytes.h"
#include "base/unique_fd.h"
#include "base/utf8.h"
#include "kube/document.h"
#include "kube/fields.h"
#include "kube/node_json.h"
#include "kube/server_url.h"

namespace tokenlet::kube {
namespace {

constexpr std::string_view kExecV1 = "client.authentication.k8s.io/v1";
constexpr std::string_view kExecV1Beta1 = "client.authentication.k8s.io/v1beta1";
constexpr std::string_view kExecExtension = "client.authentication.k8s.io/exec";

struct File {
    const std::string& path;

    [[nodiscard]] std::string absolute(const std::string& name) const {
        return name.starts_with('/') ? name : path.substr(0, path.rfind('/') + 1) + name;
    }
    [[nodiscard]] std::string place(int line, const FieldPath& field) const {
        return path + ": line " + std::to_string(line) + ": " + field.str();
    }
    [[nodiscard]] std::string place(Fields& fields, std::string_view key) const {
        return place(fields.node(key)->line, FieldPath{&fields.path(), key});
    }
};

// A name as a message shows it: on its one line. Documents are UTF-8.
std::string shown(std::string_view name) {
    std::string text;
    while (!name.empty()) {
        const CodePoint point = decode_utf8(name);
        const bool is_control = point.value < ' ' || (point.value >= 0x7f && point.value < 0xa0);
        const std::size_t size = std::max<std::size_t>(point.size, 1);
        if (is_control || point.size == 0)
            text += '?';
        else
            text += name.substr(0, size);
        name.remove_prefix(size);
    }
    return text;
}

std::string text_or_empty(Fields& fields, std::string_view key) {
    return fields.string(key).value_or("");
}

// `key` names a file, `data_key` holds the same as base64.
Material read_material(const File& file, Fields& fields, std::string_view key, std::string_view data_key) {
    Material material;
    const std::string name = text_or_empty(fields, key);
    std::string encoded = text_or_empty(fields, data_key);
    if (!name.empty() && !encoded.empty()) {
        fields.fail(data_key, "stands beside " + std::string(key) + "; only one of them can be meant");
    } else if (!name.empty()) {
        material.file = file.absolute(name);
        material.where = file.place(fields, key);
    } else if (!encoded.empty()) {
        auto decoded = decode_base64(encoded);
        if (!decoded)
            fields.fail(data_key, decoded.error().what);
        else if (decoded->empty())
            fields.fail(data_key, "holds nothing but base64's padding");
        if (decoded) {
            material.bytes = Secret(*decoded);
            material.where = file.place(fields, data_key);
            wipe_memory(decoded->data(), decoded->size());
        }
    }
    wipe_memory(encoded.data(), encoded.size());
    return material;
}

Result<Secret> read_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd)
        return fail_errno(errno, "open", path);
    Result<Secret> text = read_all(fd.get(), kMaxKubeconfigBytes, path);
    // A disk may be mended under a running host; a directory only becomes a file by somebody's hand.
    if (!text && text.error().os_errno == EISDIR)
        text.error().code = Errc::Invalid;
    return text;
}

bool is_token(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char byte) { return byte > ' ' && byte < 0x7f; });
}

Material read_token(const File& file, Fields& fields) {
    Material material;
    const std::string name = text_or_empty(fields, "tokenFile");
    std::string token = text_or_empty(fields, "token");
    // Both: the file wins, as with client-go.
    if (!name.empty()) {
        material.file = file.absolute(name);
        material.where = file.place(fields, "tokenFile");
    } else if (!is_token(token)) {
        fields.fail("token", "holds a blank, a line break or another character that no token has");
    } else if (!token.empty()) {
        material.bytes = Secret(token);
        material.where = file.place(fields, "token");
    }
    wipe_memory(token.data(), token.size());
    return material;
}

void read_interactive_mode(Fields& fields, std::string_view api_version) {
    const auto mode = fields.one_of("interactiveMode", {"Never", "IfAvailable", "Always"});
    if (mode == "Always")
        fields.fail("interactiveMode", "Always needs a terminal, which a service has not");
    if (!fields.has("interactiveMode") && api_version == kExecV1)
        fields.fail("interactiveMode", "must be given with " + std::string(kExecV1) + "; Never is right for a service");
}

std::optional<ExecPlugin> read_exec(const File& file, Fields& user) {
    Fields fields = user.mapping("exec");
    if (!fields.exists())
        return std::nullopt;
    ExecPlugin plugin;
    plugin.where = file.place(fields.line(), fields.path());
    plugin.api_version = fields.required("apiVersion");
    if (!plugin.api_version.empty() && plugin.api_version != kExecV1 && plugin.api_version != kExecV1Beta1)
        fields.fail("apiVersion", "must be " + std::string(kExecV1) + " or " + std::string(kExecV1Beta1));
    plugin.command = fields.required("command");
    if (plugin.command.contains('/'))
        plugin.command = file.absolute(plugin.command);
    plugin.args = fields.strings("args");
    fields.for_each("env", [&](Fields& variable, std::size_t) {
        std::string name = variable.required("name");
        if (name.contains('='))
            variable.fail("name", "must not hold '='");
        plugin.env.emplace_back(std::move(name), text_or_empty(variable, "value"));
    });
    plugin.install_hint = text_or_empty(fields, "installHint");
    plugin.provide_cluster_info = fields.boolean("provideClusterInfo").value_or(false);
    read_interactive_mode(fields, plugin.api_version);
    return plugin;
}

Impersonation read_impersonation(Fields& fields) {
    Impersonation as;
    as.user = text_or_empty(fields, "as");
    as.uid = text_or_empty(fields, "as-uid");
    as.groups = fields.strings("as-groups");
    if (Fields extra = fields.mapping("as-user-extra"); extra.exists()) {
        for (const Node& entry : fields.node("as-user-extra")->children)
            for (std::string& value : extra.strings(entry.key))
                as.extra.emplace_back(entry.key, std::move(value));
    }
    if (as.user.empty() && (!as.uid.empty() || !as.groups.empty() || !as.extra.empty()))
        fields.fail("as-uid, as-groups and as-user-extra need 'as'");
    return as;
}

void refuse_what_has_gone(Fields& fields) {
    for (const std::string_view key : {"username", "password"})
        if (fields.has(key))
            fields.fail(key,
                        "Kubernetes has no passwords since 1.19; use token, tokenFile, client-certificate or exec");
    if (fields.has("auth-provider"))
        fields.fail("auth-provider", "Kubernetes clients have no auth providers since 1.26; use exec");
}

void read_user(const File& file, Fields& entry, User& user) {
    Fields fields = entry.mapping("user");
    user.client_certificate = read_material(file, fields, "client-certificate", "client-certificate-data");
    user.client_key = read_material(file, fields, "client-key", "client-key-data");
    user.token = read_token(file, fields);
    user.exec = read_exec(file, fields);
    user.impersonation = read_impersonation(fields);
    refuse_what_has_gone(fields);
    fields.ignore({"extensions"});
    const bool has_key = fields.has("client-key") || fields.has("client-key-data");
    const bool has_certificate = fields.has("client-certificate") || fields.has("client-certificate-data");
    if (has_certificate && !has_key)
        fields.fail("has a client certificate but no client-key or client-key-data");
    if (has_key && !has_certificate)
        fields.fail("has a client key but no client-certificate or client-certificate-data");
    if (user.exec && (user.token.is_given() || has_certificate))
        fields.fail("exec", "stands beside another credential; only one of them can be meant");
}

void read_tls_server_name(Fields& fields, Cluster& cluster) {
    cluster.tls_server_name = text_or_empty(fields, "tls-server-name");
    const bool is_name = std::ranges::all_of(cluster.tls_server_name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    });
    if (!is_name)
        fields.fail("tls-server-name", "must be a host name");
}

void read_exec_extension(Fields& fields, Cluster& cluster) {
    fields.for_each("extensions", [&](Fields& item, std::size_t) {
        const std::string name = text_or_empty(item, "name");
        if (const Node* extension = item.node("extension"); extension != nullptr && name == kExecExtension)
            cluster.exec_config_json = to_json(*extension);
    });
}

void read_cluster(const File& file, Fields& entry, Cluster& cluster) {
    Fields fields = entry.mapping("cluster");
    if (!fields.exists())
        return entry.fail("cluster", "must be given");
    cluster.server = fields.required("server");
    if (!cluster.server.empty()) {
        const auto url = read_server_url(cluster.server);
        if (!url)
            fields.fail("server", url.error().what);
        else
            cluster.server = url->origin() + url->prefix;
    }
    read_tls_server_name(fields, cluster);
    cluster.certificate_authority = read_material(file, fields, "certificate-authority", "certificate-authority-data");
    if (fields.boolean("insecure-skip-tls-verify").value_or(false)) {
        cluster.tls_verification = TlsVerification::Off;
        if (cluster.certificate_authority.is_given())
            fields.fail("insecure-skip-tls-verify",
                        "stands beside a certificate authority, which it would not look at");
    }
    std::string proxy = text_or_empty(fields, "proxy-url");
    if (!proxy.empty()) {
        if (const auto checked = check_proxy_url(proxy); !checked)
            fields.fail("proxy-url", checked.error().what);
        cluster.proxy_url = Secret(proxy);
        wipe_memory(proxy.data(), proxy.size());
    }
    cluster.disable_compression = fields.boolean("disable-compression").value_or(false);
    read_exec_extension(fields, cluster);
}

// One of the files that are read together.
struct Source {
    File file;
    Fields& top;
};

// One of the three lists of named entries, in all files. Of two files that name one entry the first counts, and all of it.
class Entries {
public:
    Entries(std::vector<Source>& sources, std::string_view list) : sources_(sources), list_(list) {}

    // Calls use(Source&, Fields&) for the entry of that name, and passes over the others. False: there is none.
    template <class Use>
    bool find(std::string_view name, Use&& use) {
        bool found = false;
        for (Source& source : sources_) {
            const bool found_before = found;
            std::vector<std::string> names;
            source.top.for_each(list_, [&](Fields& entry, std::size_t) {
                std::string entry_name = entry.required("name");
                const bool is_meant = entry_name == name && !found_before;
                if (std::ranges::find(names, entry_name) != names.end())
                    entry.fail("name", "stands for another entry already");
                else if (is_meant) {
                    found = true;
                    use(source, entry);
                }
                if (!is_meant)
                    entry.ignore_others();
                names.push_back(std::move(entry_name));
            });
            names_.insert(names_.end(), std::make_move_iterator(names.begin()), std::make_move_iterator(names.end()));
        }
        return found;
    }

    // "no context 'edge' in contexts, did you mean 'edge-7'?"
    [[nodiscard]] std::string nothing_called(std::string_view what, std::string_view name) const {
        const std::vector<std::string_view> known(names_.begin(), names_.end());
        const std::string there_is = known.empty() ? ", which is empty" : "";
        return "no " + std::string(what) + " '" + shown(name) + "' in " + std::string(list_) + there_is +
               shown(did_you_mean(name, known));
    }

private:
    std::vector<Source>& sources_;
    std::string_view list_;
    std::vector<std::string> names_;
};

// Where a name that may lead nowhere was taken from.
struct Link {
    Source* source = nullptr;
    int line = 1;
    std::string path;
    std::string name;
};

Link link(Source& source, Fields& fields, std::string_view key, std::string name) {
    const Node* node = fields.node(key);
    return {&source, node == nullptr ? fields.line() : node->line, FieldPath{&fields.path(), key}.str(),
            std::move(name)};
}

class Reader {
public:
    explicit Reader(std::vector<Source>& sources) : sources_(sources) {}

    ClusterAccess read(std::string_view wanted) {
        for (Source& source : sources_) {
            check_kind(source.top);
            source.top.ignore({"preferences", "extensions"});
        }
        read_context(wanted);
        read_linked("clusters", "cluster", cluster_,
                    [&](Source& source, Fields& entry) { read_cluster(source.file, entry, access_.cluster); });
        read_linked("users", "user", user_,
                    [&](Source& source, Fields& entry) { read_user(source.file, entry, access_.user); });
        access_.cluster.name = cluster_.name;
        access_.user.name = user_.name;
        return std::move(access_);
    }

private:
    static void check_kind(Fields& top) {
        if (const auto version = top.string("apiVersion"); version && *version != "v1")
            top.fail("apiVersion", "must be v1");
        if (const auto kind = top.string("kind"); kind && *kind != "Config")
            top.fail("kind", "must be Config: this is no kubeconfig");
    }

    void read_context(std::string_view wanted) {
        std::string name(wanted);
        Source* said_by = &sources_.front();
        for (Source& source : sources_) {
            const std::string current = text_or_empty(source.top, "current-context");
            if (name.empty() && !current.empty()) {
                name = current;
                said_by = &source;
            }
        }
        Entries contexts(sources_, "contexts");
        const bool found = contexts.find(name, [&](Source& source, Fields& entry) {
            Fields fields = entry.mapping("context");
            cluster_ = link(source, fields, "cluster", fields.required("cluster"));
            user_ = link(source, fields, "user", text_or_empty(fields, "user"));
            access_.ns = text_or_empty(fields, "namespace");
            fields.ignore({"extensions"});
            said_by = &source;
        });
        access_.name = said_by->file.path + ", context '" + shown(name) + "'";
        if (name.empty())
            said_by->top.fail("current-context", "is not set, and no context was asked for");
        else if (!found)
            said_by->top.fail(wanted.empty() ? "current-context" : "contexts",
                              contexts.nothing_called("context", name));
    }

    template <class Use>
    void read_linked(std::string_view list, std::string_view what, const Link& link, Use&& use) {
        Entries entries(sources_, list);
        if (entries.find(link.name, use) || link.name.empty())
            return;
        link.source->top.problems().add(link.line, FieldPath{},
                                        link.path + ": " + entries.nothing_called(what, link.name));
    }

    std::vector<Source>& sources_;
    Link cluster_;
    Link user_;
    ClusterAccess access_;
};

// What one of several files holds; nothing when that is no document at all.
Result<std::optional<Document>> document_of(const KubeconfigText& file) {
    Documents documents(file.text);
    std::optional<Document> document = documents.next();
    if (!document)
        return std::nullopt;
    if (!document->root)
        return std::unexpected(std::move(document->root.error()).with(file.path));
    if (const std::optional<Document> second = documents.next()) {
        const WipedAtTheEnd wiped(*document->root);
        return fail(Errc::Invalid,
                    file.path + ": line " + std::to_string(second->line) + ": a kubeconfig is one document");
    }
    return document;
}

// A document, and what is wrong with it.
struct Parsed {
    const std::string& path;
    Document document;
    WipedAtTheEnd wiped;
    Problems problems;

    Parsed(const std::string& file, Document&& read) : path(file), document(std::move(read)), wiped(*document.root) {}
    Parsed(const Parsed&) = delete;
    Parsed& operator=(const Parsed&) = delete;
};

}  // namespace

Result<ClusterAccess> parse_kubeconfigs(std::span<const KubeconfigText> files, std::string_view context) {
    std::deque<Parsed> parsed;
    for (const KubeconfigText& file : files)
        if (std::optional<Document> document = TRY(document_of(file)))
            parsed.emplace_back(file.path, std::move(*document));
    if (parsed.empty())
        return fail(Errc::Invalid, (files.empty() ? std::string("no kubeconfig") : files.front().path) +
                                       ": is empty; a kubeconfig names clusters, users and contexts");
    std::optional<ClusterAccess> access;
    {
        std::deque<Fields> tops;
        std::vector<Source> sources;
        sources.reserve(parsed.size());
        for (Parsed& file : parsed)
            sources.push_back({File{file.path}, tops.emplace_back(*file.document.root, file.problems, Values::Hidden)});
        access = Reader(sources).read(context);
    }
    for (const Parsed& file : parsed)
        TRY(file.problems.result(), file.path);
    return std::move(*access);
}

Result<ClusterAccess> parse_kubeconfig(std::string_view text, const std::string& path, std::string_view context) {
    const KubeconfigText file{path, text};
    return parse_kubeconfigs(std::span(&file, 1), context);
}

Result<ClusterAccess> read_kubeconfig(const std::string& path, std::string_view context) {
    const Secret text = TRY(read_file(path));
    return parse_kubeconfig(text.view(), path, context);
}

Result<ClusterAccess> read_kubeconfigs(std::string_view list, std::string_view context) {
    std::vector<std::string> paths;
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t end = std::min(list.find(':', begin), list.size());
        std::string path(list.substr(begin, end - begin));
        if (!path.empty() && std::ranges::find(paths, path) == paths.end())
            paths.push_back(std::move(path));
        begin = end + 1;
    }
    std::vector<Secret> texts;
    std::vector<KubeconfigText> files;
    texts.reserve(paths.size());
    Result<> missing = fail(Errc::NotFound, "no kubeconfig is named");
    for (const std::string& path : paths) {
        Result<Secret> text = read_file(path);
        if (!text && text.error().code != Errc::NotFound)
            return std::unexpected(std::move(text.error()));
        if (!text) {
            missing = std::unexpected(std::move(text.error()));
            continue;
        }
        texts.push_back(std::move(*text));
        files.push_back({path, texts.back().view()});
    }
    if (files.empty())
        return std::unexpected(std::move(missing.error()));
    return parse_kubeconfigs(files, context);
}

}  // namespace tokenlet::kube
