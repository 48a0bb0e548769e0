// SPDX-License-Identifier: Apache-2.0
// What nobody can do without who makes a fleet's volumes out of manifests, part by part: fleet_bench.py sets the real agent
// beside it.
//
//     fleet_parts MANIFESTS SCRATCH   prints `yaml sign write nodes`, in milliseconds of this process's CPU time, which
//                                     others on a busy machine do not add to
//
// Parts, one after another, each once for every file of MANIFESTS
//   yaml   the file read, and parsed by yaml-cpp with nobody listening to what it finds
//   sign   a signature of a token's size, by OpenSSL
//   write  a three-file volume at the kubelet's place below SCRATCH, its links and its name, by plain system calls
//   nodes  the file's text made into yaml-cpp's own tree, as most programs use it; for comparison only
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "tests/bench/figures.h"
#include "tests/bench/raw_signer.h"

namespace tokenlet::bench {
namespace {

class Nobody final : public YAML::EventHandler {
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

double cpu_milliseconds(const std::function<void()>& work) {
    const auto now = [] {
        timespec time{};
        must(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0, "clock_gettime");
        return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
    };
    const double start = now();
    work();
    return now() - start;
}

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void parse(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Nobody nobody;
    while (parser.HandleNextDocument(nobody)) {
    }
}

void make_directory(const UniqueFd& root, const std::string& path) {
    must(::mkdirat(root.get(), path.c_str(), 0755) == 0, "mkdir " + path);
}

void write_volume(const UniqueFd& root, int number) {
    const std::string pod = "pods/" + std::to_string(number);
    make_directory(root, pod);
    make_directory(root, pod + "/volumes");
    make_directory(root, pod + "/volumes/kubernetes.io~projected");
    const std::string path = pod + "/volumes/kubernetes.io~projected/kube-api-access";
    make_directory(root, path);
    const UniqueFd volume(::openat(root.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    must(::mkdirat(volume.get(), "..generation", 0700) == 0, "mkdir");
    const UniqueFd generation(::openat(volume.get(), "..generation", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct {
        const char* name;
        std::size_t size;
    } files[] = {{"ca.crt", 600}, {"namespace", 10}, {"token", 1000}};
    for (const auto& [name, size] : files) {
        const UniqueFd file(::openat(generation.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        must(::write(file.get(), std::string(size, 'x').data(), size) == static_cast<ssize_t>(size), "write");
        must(::fchmod(file.get(), 0644) == 0, "fchmod");
    }
    must(::fchmod(generation.get(), 0755) == 0, "fchmod");
    must(::symlinkat("..generation", volume.get(), "..data_tmp") == 0, "symlink");
    must(::renameat(volume.get(), "..data_tmp", volume.get(), "..data") == 0, "rename");
    for (const auto& [name, size] : files)
        must(::symlinkat(("..data/" + std::string(name)).c_str(), volume.get(), name) == 0, "symlink");
    make_directory(root, "by-name/" + std::to_string(number));
    must(::symlinkat(("../../" + path).c_str(), root.get(),
                     ("by-name/" + std::to_string(number) + "/kube-api-access").c_str()) == 0,
         "symlink");
}

void run(const std::string& manifests, const std::string& scratch) {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(manifests))
        paths.push_back(entry.path());
    std::ranges::sort(paths);
    const double yaml = cpu_milliseconds([&] {
        for (const std::string& path : paths)
            parse(read_file(path));
    });
    RawSigner signer;
    const double sign = cpu_milliseconds([&] {
        for (std::size_t i = 0; i < paths.size(); ++i)
            signer.sign();
    });
    const UniqueFd root(::open(scratch.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    must(static_cast<bool>(root), "open " + scratch);
    make_directory(root, "pods");
    make_directory(root, "by-name");
    const double write = cpu_milliseconds([&] {
        for (std::size_t i = 0; i < paths.size(); ++i)
            write_volume(root, static_cast<int>(i));
    });
    const double nodes = cpu_milliseconds([&] {
        for (const std::string& path : paths)
            (void)YAML::LoadAll(read_file(path));
    });
    std::printf("%.3f %.3f %.3f %.3f\n", yaml, sign, write, nodes);
}

}  // namespace
}  // namespace tokenlet::bench

int main(int argc, char** argv) {
    if (argc != 3)
        tokenlet::bench::stop("usage: fleet_parts MANIFESTS SCRATCH");
    tokenlet::bench::run(argv[1], argv[2]);
}
