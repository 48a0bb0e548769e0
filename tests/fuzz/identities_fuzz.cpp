// SPDX-License-Identifier: Apache-2.0
// stateDir/identities: read against a plain model, and the same at the next start and after an append.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/shell/identity_store.h"
#include "kube/names.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/http/scratch_directory.h"

namespace tokenlet::fuzz {
namespace {

using agent::IdentityStore;
using agent::PodIdentity;
using Model = std::map<std::string, std::string>;

// One directory in memory for the whole process.
const UniqueFd& state_dir() {
    static const http::ScratchDirectory kDirectory;
    static const UniqueFd kDir(::open(kDirectory.file("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return kDir;
}

void write_file(std::string_view bytes) {
    const UniqueFd file(::openat(state_dir().get(), "identities", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    must(file && ::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
         "a file can be written");
}

// Unset: not such a file. A last line without its end does not count.
std::optional<Model> model_of(std::string_view text) {
    Model model;
    text = text.substr(0, text.rfind('\n') + 1);
    for (Lines lines(text); !lines.empty();) {
        std::string_view words[4];
        std::size_t count = 0;
        for (std::string_view line = lines.next(); count < 4;) {
            const std::size_t blank = line.find(' ');
            words[count++] = line.substr(0, blank);
            if (blank == std::string_view::npos)
                break;
            line.remove_prefix(blank + 1);
        }
        const std::size_t slash = words[1].find('/');
        if (count != 3 || slash == std::string_view::npos ||
            !kube::check_dns1123_label(words[1].substr(0, slash)).empty() ||
            !kube::check_dns1123_subdomain(words[1].substr(slash + 1)).empty() || !kube::check_uid(words[2]).empty())
            return std::nullopt;
        const std::string pod(words[1]);
        if (words[0] == "add")
            model[pod] = words[2];
        else if (words[0] != "drop")
            return std::nullopt;
        else if (model.contains(pod) && model[pod] == words[2])
            model.erase(pod);
    }
    return model;
}

Model loaded(IdentityStore& store) {
    Model model;
    for (const PodIdentity& identity : store.take_loaded())
        model[identity.pod.str()] = identity.uid;
    return model;
}

}  // namespace

void run_input(std::string_view input) {
    write_file(input);
    const auto model = model_of(input);
    auto store = IdentityStore::open(state_dir());
    must(store.has_value() == model.has_value(), "a file of identities is one to the model too");
    if (!store) {
        must(store.error().code == Errc::Invalid, "what is no such file is invalid, nothing else");
        return;
    }
    must(loaded(*store) == *model, "what the file says is what counts");

    const PodIdentity added{.pod = {"shop", "new"}, .uid = "1"};
    must(store->save({added}, {}).has_value(), "an identity can be added");
    auto next = IdentityStore::open(state_dir());
    Model expected = *model;
    expected["shop/new"] = "1";
    must(next && loaded(*next) == expected, "what was saved is there at the next start, beside what was there");
}

}  // namespace tokenlet::fuzz
