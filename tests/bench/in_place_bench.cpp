// SPDX-License-Identifier: Apache-2.0
// How often a reader finds a torn token, by the way in which the file is written: why tokenlet writes none in place.
//
// Scenarios, a writer and a reader that do nothing else, tmpfs, tokens of about a kilobyte whose lengths differ
//   truncated    open with O_TRUNC, write: what shells and most programs do
//   overwritten  write over the old bytes, then cut to the new length
//   published    fsatomic's publish()
// Torn is what is no token that was ever written: empty, cut short, too long, or of two.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "base/time.h"
#include "base/unique_fd.h"
#include "fsatomic/generation.h"
#include "fsatomic/publish.h"
#include "tests/bench/figures.h"

namespace tokenlet::fsatomic {
namespace {

using bench::must;

constexpr int kWrites = 20'000;

// One letter throughout, and as long as the letter says.
std::string token(int number) {
    const int letter = number % 26;
    return std::string(static_cast<std::size_t>(1000 + letter * 8), static_cast<char>('a' + letter));
}

bool is_whole(const std::string& text) {
    return !text.empty() && text.find_first_not_of(text.front()) == text.npos && text == token(text.front() - 'a');
}

void write_by(const std::string& path, int flags, const std::string& text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644));
    must(static_cast<bool>(file), "open");
    must(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write");
    must(::ftruncate(file.get(), static_cast<off_t>(text.size())) == 0, "ftruncate");
}

std::string read_whole(const std::string& path) {
    UniqueFd file;
    do
        file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    while (!file && errno == ENOENT);  // no grace time lasts over thousands of generations a second
    must(static_cast<bool>(file), "open");
    std::array<char, 4096> bytes;
    const ssize_t size = ::read(file.get(), bytes.data(), bytes.size());
    must(size >= 0, "read");
    return {bytes.data(), static_cast<std::size_t>(size)};
}

void measure(const char* way, const std::string& path, const std::function<void(const std::string&)>& write) {
    write(token(0));
    std::atomic<bool> over = false;
    long reads = 0;
    long torn = 0;
    std::thread reader([&] {
        while (!over) {
            ++reads;
            torn += is_whole(read_whole(path)) ? 0 : 1;
        }
    });
    for (int number = 1; number <= kWrites; ++number)
        write(token(number));
    over = true;
    reader.join();
    std::printf("| a token %s while it is read | %d writes, %ld reads | | %.2f %% of the reads torn | | |\n", way,
                kWrites, reads, 100.0 * static_cast<double>(torn) / static_cast<double>(reads));
}

class Volume {
public:
    explicit Volume(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        must(static_cast<bool>(fd_), "open");
    }
    void publish_token(const std::string& text) {
        Payload payload;
        payload.files["token"] = {.bytes = Secret(text)};
        auto published = publish(fd_, payload, {.digits = ++digits_, .retained = std::move(retained_)});
        must(published.has_value(), "publish");
        retained_ = std::move(published->retained);
    }

private:
    UniqueFd fd_;
    std::uint64_t digits_ = 0;
    std::vector<Generation> retained_;  // as in a grace time: at most what the caps say
};

}  // namespace
}  // namespace tokenlet::fsatomic

int main() {
    using namespace tokenlet::fsatomic;
    std::string directory = "/dev/shm/in-place-bench-XXXXXX";
    must(::mkdtemp(directory.data()) != nullptr, "mkdtemp");
    const std::string file = directory + "/file";
    measure("truncated, then written", file, [&](const std::string& text) { write_by(file, O_CREAT | O_TRUNC, text); });
    measure("written over", file, [&](const std::string& text) { write_by(file, O_CREAT, text); });
    Volume volume(directory);
    measure("published", directory + "/token", [&](const std::string& text) { volume.publish_token(text); });
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
}
