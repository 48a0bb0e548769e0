// SPDX-License-Identifier: Apache-2.0
// What readers and watchers see while generations are switched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>

#include <atomic>
#include <deque>
#include <thread>

#include "fsatomic/publish.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

using testing::ElementsAre;

// The bytes of a file, or "" when it could not be opened or was empty.
std::string read_at(int directory, const char* path) {
    const UniqueFd file(::openat(directory, path, O_RDONLY | O_CLOEXEC));
    std::string bytes(8192, '\0');
    const ssize_t size = file ? ::read(file.get(), bytes.data(), bytes.size()) : 0;
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
}

class Readers : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(On, Readers, testing::Values(kTmpfs, kDisk), file_system_name);

// A generation goes once both readers have begun anew since it was replaced, as the grace time lets them elsewhere.
struct Leaving {
    std::string generation;
    int rounds_by_name;
    int rounds_by_generation;
};

TEST_P(Readers, NeverMissAFileOrMixTwoGenerations) {
    const int swaps = GetParam() == std::string(kTmpfs) ? 3000 : 200;  // a disk is slower and no different
    const Scratch scratch(GetParam());
    Publisher publisher(scratch.fd());
    const auto set = [](int number) {
        const std::string text = std::to_string(number) + std::string(3000, 'x') + std::to_string(number);
        return std::vector<Text>{{"a", text}, {"b", text}, {"d/token", text}};
    };
    ASSERT_TRUE(publisher.publish(set(0)));

    std::atomic<bool> done = false;
    std::atomic<int> by_name_rounds = 0, by_generation_rounds = 0, missing = 0, torn = 0, mixed = 0;
    const auto is_whole = [](const std::string& text) {
        const std::string number = text.substr(0, text.find('x'));
        return text.size() == 3000 + 2 * number.size() && text.ends_with(number);
    };
    std::thread by_name([&] {
        for (; !done; ++by_name_rounds)
            for (const char* path : {"a", "b", "d/token"}) {
                const std::string text = read_at(scratch.fd().get(), path);
                missing += text.empty();
                torn += !text.empty() && !is_whole(text);
            }
    });
    std::thread by_generation([&] {
        for (; !done; ++by_generation_rounds) {
            const UniqueFd generation(::openat(scratch.fd().get(), "..data", O_PATH | O_DIRECTORY | O_CLOEXEC));
            const std::string a = read_at(generation.get(), "a");
            std::this_thread::yield();  // resolved before the switch, opened after it
            const std::string b = read_at(generation.get(), "b");
            const std::string token = read_at(generation.get(), "d/token");
            missing += a.empty() || b.empty() || token.empty();
            mixed += a != b || a != token;
        }
    });
    std::deque<Leaving> leaving;
    int retired = 0;
    for (int number = 1; number <= swaps; ++number) {
        const auto outcome = publisher.publish_payload(payload_of(set(number)));
        if (!outcome) {
            ADD_FAILURE() << outcome.error().what;
            break;
        }
        leaving.push_back({outcome->previous->name, by_name_rounds + 2, by_generation_rounds + 2});
        for (; !leaving.empty() && leaving.front().rounds_by_name <= by_name_rounds &&
               leaving.front().rounds_by_generation <= by_generation_rounds;
             leaving.pop_front(), ++retired)
            EXPECT_TRUE(retire(scratch.fd(), leaving.front().generation, &publisher.witness));
    }
    done = true;
    by_name.join();
    by_generation.join();
    EXPECT_EQ(missing, 0);
    EXPECT_EQ(torn, 0);
    EXPECT_EQ(mixed, 0);
    EXPECT_GT(by_name_rounds, 10);
    EXPECT_GT(retired, 10);
}

TEST(Reader, FindsAFileItResolvedBeforeTheSwitchUntilTheGenerationIsRetired) {
    const Scratch scratch;
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"token", "1"}}));
    const std::string resolved = std::filesystem::canonical(scratch.at("token"));
    const auto outcome = publisher.publish({{"token", "2"}});
    EXPECT_EQ(read_whole(resolved), "1");
    EXPECT_EQ(read_whole(scratch.at("token")), "2");
    ASSERT_TRUE(retire(scratch.fd(), outcome->previous->name, &publisher.witness));
    EXPECT_FALSE(exists(resolved));
}

// Events on the volume's directory, "CREATE ..data_tmp", since the last call. Names of generations by age: <1>, <2>.
class Watcher {
public:
    explicit Watcher(const Scratch& scratch) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
        ::inotify_add_watch(fd_.get(), scratch.path().c_str(), IN_CREATE | IN_DELETE | IN_MOVE);
    }
    std::vector<std::string> events() {
        std::vector<std::string> seen;
        alignas(inotify_event) std::array<char, 16384> buffer;
        const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += static_cast<ssize_t>(sizeof *event + event->len);
            const char* kind = event->mask & IN_CREATE       ? "CREATE "
                               : event->mask & IN_DELETE     ? "DELETE "
                               : event->mask & IN_MOVED_FROM ? "MOVED_FROM "
                                                             : "MOVED_TO ";
            seen.push_back(kind + name_of(event->name));
        }
        return seen;
    }

private:
    std::string name_of(const std::string& name) {
        if (!is_generation_name(name))
            return name;
        auto known = std::find(generations_.begin(), generations_.end(), name);
        if (known == generations_.end())
            known = generations_.insert(known, name);
        return "<" + std::to_string(known - generations_.begin() + 1) + ">";
    }

    UniqueFd fd_;
    std::vector<std::string> generations_;
};

TEST(Watcher, SeesTheKubeletsEventsInTheKubeletsOrder) {
    const Scratch scratch;
    Watcher watcher(scratch);
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"a", "1"}, {"b/c", "1"}}));
    EXPECT_THAT(watcher.events(), ElementsAre("CREATE <1>", "CREATE ..data_tmp", "MOVED_FROM ..data_tmp",
                                              "MOVED_TO ..data", "CREATE a", "CREATE b"));
    const auto second = publisher.publish({{"a", "2"}, {"d", "1"}});
    EXPECT_THAT(watcher.events(), ElementsAre("CREATE <2>", "CREATE ..data_tmp", "MOVED_FROM ..data_tmp",
                                              "MOVED_TO ..data", "CREATE d", "DELETE b"));
    ASSERT_TRUE(retire(scratch.fd(), second->previous->name, &publisher.witness));
    EXPECT_THAT(watcher.events(), ElementsAre("DELETE <1>"));
    ASSERT_TRUE(publisher.publish({{"a", "2"}, {"d", "1"}}));
    EXPECT_THAT(watcher.events(), ElementsAre()) << "nothing changed, nothing to see";
}

TEST(Watcher, SeesNamesGoBeforeWhatTheyPointTo) {
    const Scratch scratch;
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"a", "1"}}));
    Watcher watcher(scratch);
    ASSERT_TRUE(clear_volume(scratch.fd()));
    EXPECT_THAT(watcher.events(), ElementsAre("DELETE a", "DELETE ..data", "DELETE <1>"));
}

}  // namespace
}  // namespace tokenlet::fsatomic
