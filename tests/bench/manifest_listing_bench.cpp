// SPDX-License-Identifier: Apache-2.0
// What it costs to keep an eye on a large manifest directory.
//
// Scenarios, on tmpfs (first argument: files, default 10000)
//   first       every file read and decoded into the set, against decoding the same texts from memory
//   unchanged   a resync, against readdir() and stat() of every file, which nobody can do without
//   one change  a file renamed in: seen, listed, applied; against the same
//   memory      what the set and the directory keep for each Pod
//
// Both sides of a pair alternate round by round in one run; the figures are medians, and what counts is their ratio.
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "kube/manifest_directory.h"
#include "kube/manifest_set.h"
#include "tests/bench/figures.h"

namespace tokenlet::kube {
namespace {

constexpr int kRounds = 15;

using bench::median;
using bench::must;

// A Pod as people write it: one container, one token of its own beside the injected one.
std::string pod_text(int number, int version) {
    return "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: production\n  name: web-" + std::to_string(number) +
           "\n  labels: {app: web, version: \"" + std::to_string(version) +
           "\"}\nspec:\n  serviceAccountName: frontend\n  containers:\n  - name: app\n    image: "
           "registry.example/app:1\n"
           "    volumeMounts: [{name: vault, mountPath: /var/run/vault, readOnly: true}]\n  volumes:\n  - name: vault\n"
           "    projected:\n      sources:\n      - serviceAccountToken: {audience: vault, path: token, "
           "expirationSeconds: 3600}\n";
}

void move_in(const std::string& directory, int number, int version) {
    const std::string path = directory + "/web-" + std::to_string(number) + ".yaml";
    const std::string text = pod_text(number, version);
    {
        const UniqueFd file(::open((directory + "/.new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        must(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write");
    }
    must(::rename((directory + "/.new").c_str(), path.c_str()) == 0, "rename");
}

double milliseconds(const std::function<void()>& act) {
    return bench::microseconds(act) / 1000;
}

void print(const char* scenario, double ours, const char* what, double theirs) {
    std::printf("| manifests: %-33s | %9.3f ms | %-24s %9.3f ms | %6.2f | | |\n", scenario, ours, what, theirs,
                ours / theirs);
}

// readdir() and stat(), nothing else.
void plain_look(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
    must(stream != nullptr, "opendir");
    while (const dirent* entry = ::readdir(stream.get())) {
        struct stat status{};
        must(::fstatat(::dirfd(stream.get()), entry->d_name, &status, 0) == 0, "fstatat");
    }
}

void run(const std::string& path, int files) {
    std::vector<std::string> texts;
    for (int i = 0; i < files; ++i) {
        move_in(path, i, 0);
        texts.push_back(pod_text(i, 0));
    }
    const double decode = milliseconds([&] {
        for (const std::string& text : texts)
            must(decode_manifests(text, "web.yaml").at(0).object.has_value(), "decode");
    });
    texts.clear();

    ManifestDirectory directory = ManifestDirectory::open(path, {.agent_uid = ::geteuid()}).value();
    ManifestSet set;
    const std::size_t before = ::mallinfo2().uordblks;
    const double first = milliseconds([&] { set.apply(directory.list()); });
    const std::size_t after = ::mallinfo2().uordblks;
    must(set.pods().size() == static_cast<std::size_t>(files) && set.problems().empty(), "first listing");
    print("first", first, "decoding alone", decode);
    // Files younger than the file clock's doubt are read once more.
    set.apply(directory.list());

    std::vector<double> unchanged, changed, plain;
    for (int round = 1; round <= kRounds; ++round) {
        unchanged.push_back(milliseconds([&] { must(set.apply(directory.list()).changed.empty(), "unchanged"); }));
        plain.push_back(milliseconds([&] { plain_look(path); }));
        move_in(path, round, round);
        changed.push_back(milliseconds([&] {
            must(directory.drain(), "drain");
            must(set.apply(directory.list(Look::Touched)).changed.size() == 1, "one change");
        }));
    }
    print("unchanged", median(unchanged), "readdir and stat alone", median(plain));
    print("one change", median(changed), "readdir and stat alone", median(plain));
    std::printf("| manifests: memory for each Pod | %zu bytes | | | | |\n",
                (after - before) / static_cast<std::size_t>(files));
}

}  // namespace
}  // namespace tokenlet::kube

int main(int argc, char** argv) {
    std::string path = "/dev/shm/manifest-bench-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
        std::perror("mkdtemp");
        return 1;
    }
    tokenlet::kube::run(path, argc > 1 ? std::atoi(argv[1]) : 10'000);
    std::filesystem::remove_all(path);
}
