# SPDX-License-Identifier: Apache-2.0
"""Deliberately broken cores, each of which the simulator or a named test must catch.

  mutants.py BUILD [NAME ...]   BUILD: a configured build directory; its compiler and flags are used

A mutant is one piece of product text and what stands in its place. It is compiled beside the product, which holds no
hook for it, and linked into its own simulator or test program in BUILD/mutants. A text that is not found exactly once
fails loudly: whoever changes the line decides anew what its mutant is. Exit code 1: one survived, or could not be made.
"""
import dataclasses
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = ["--seed", "1", "--seeds", "20", "--days", "5", "--pods", "20", "--first"]


@dataclasses.dataclass
class Mutant:
    name: str
    file: str
    text: str
    instead: str
    test: str = ""  # of the program, as a GoogleTest filter; none: the simulator
    program: str = "tests/agent/tokenlet_core_tests"


MUTANTS = [
    Mutant("a failure drops the held token", "rotation/token_cache.cpp",
           "    token.error = std::move(error);\n    token.next_try =", "    token.error = std::move(error);\n    token.held.reset();\n    token.next_try ="),
    Mutant("deletion on a failed listing", "agent/core/pods.cpp",
           "    if (!changes.complete)\n        return;\n    if (!first_listed_)", "    if (!first_listed_)",
           test="CoreTest.AFailedListingRemovesNothing"),
    Mutant("no delay before a Pod leaves", "agent/core/leaving.cpp",
           "return since + settings_.removal_delay <= now.boot; }", "return since <= now.boot; }"),
    Mutant("removals are never held", "agent/core/leaving.cpp",
           "    if (removals_held(now))\n        return;", "    (void)removals_held(now);"),
    Mutant("jitter redrawn at every look", "rotation/token_cache.cpp",
           "due(token.held->times, token.held->jitter, policy_)",
           "due(token.held->times, draw_jitter(token.held->times.ttl, policy_, static_cast<std::uint64_t>(boot_now.time_since_epoch().count()) * 0x9e3779b97f4a7c15ull), policy_)",
           test="TokenCacheTest.AdoptsWhatIsValidWithoutAsking", program="tests/rotation/tokenlet_rotation_tests"),
    Mutant("no adoption", "agent/core/tokens.cpp",
           "    tokens_.adopt(*use.token, std::move(held));", "    (void)held;"),
    Mutant("adoption as if just received", "agent/core/tokens.cpp",
           "    tokens_.adopt(*use.token, std::move(held));",
           "    held.times.received = now.boot;\n    tokens_.adopt(*use.token, std::move(held));"),
    Mutant("due by boot time only", "rotation/token_cache.cpp",
           "    if (is_refused(token.held->times, issuer_now))\n        return ask(DueRule::Clock);\n", ""),
    Mutant("due by wall clock only", "rotation/token_cache.cpp",
           "    if (next.at <= boot_now)\n        return ask(next.rule);\n", ""),
    Mutant("no wake-up when a stepped clock passes the end", "rotation/token_cache.cpp",
           "std::min(next.at, refused)", "(void(refused), next.at)"),
    Mutant("retry without an upper clamp", "rotation/backoff.cpp",
           "    delay = std::clamp(delay, kMinRetry, kMaxRetry);", "    delay = std::max(delay * 20, kMinRetry);"),
    Mutant("Retry-After however little is left", "rotation/backoff.cpp",
           "left ? std::max(*left, Duration::zero()) / 3 : kMaxRetryAfter", "Duration::max()"),
    Mutant("a failed publish is not tried again", "agent/core/volumes.cpp",
           "error.code, left);\n    deadlines_.set({DeadlineKind::Publish, volume.id}, now.boot + delay);", "error.code, left);\n    (void)now;"),
    Mutant("a change while publishing is lost", "agent/core/volumes.cpp",
           "        volume.look_again = true;\n        return;", "        return;",
           test="CoreTest.AChangeWhileAVolumeIsPublishedIsNotLost"),
    Mutant("a token that needs no request loses its deadline", "agent/core/tokens.cpp",
           "            if (verdict.look_again)\n                deadlines_.set({DeadlineKind::Token, id}, *verdict.look_again);\n", "",
           test="CoreTest.ATokenThatNeedsNoRequestAnyMoreWhenItsTurnComesIsStillRotatedInTime"),
    Mutant("two requests at once for a token", "rotation/token_cache.cpp",
           "    if (token.in_flight) {\n        const BootTime lost = token.asked + kAnswerTimeout;",
           "    if (token.in_flight && boot_now > token.asked + std::chrono::seconds(5)) {\n        return {.ask = true, .rule = {}, .look_again = {}};\n    }\n    if (token.in_flight) {\n        const BootTime lost = token.asked + std::chrono::seconds(6);"),
    Mutant("an unanswered request is waited for for ever", "agent/core/tokens.cpp",
           "    if (token.in_flight && token.asked + rotation::kAnswerTimeout <= now.boot)", "    if (token.in_flight && now.boot < token.asked)"),
    Mutant("the uid is drawn anew at each start", "agent/core/pods.cpp",
           "        pods_by_key_[pod.key] = &pod;\n    }\n}", "    }\n}"),
    Mutant("tokens are asked for before the uid is on disk", "agent/core/registers.cpp",
           "    return pod.saved && pod.registered", "    return pod.registered"),
    Mutant("the issuer is told of a leaving before the disk", "agent/core/leaving.cpp",
           "    (pod.drawn ? identities_to_remove_ : pods_gone_).push_back({pod.key, pod.uid});",
           "    pods_gone_.push_back({pod.key, pod.uid});\n    if (pod.drawn)\n        identities_to_remove_.push_back({pod.key, pod.uid});",
           test="CoreTest.APodWhoseLeavingDiedHalfwayDoesNotComeBackFromTheDead"),
    Mutant("a wrong answer is published", "agent/core/tokens.cpp", "    if (!checked) {", "    if (!checked && now.boot < BootTime{}) {"),
    Mutant("a new key wakes nobody", "agent/core/tokens.cpp",
           "    key_ids_.emplace(std::make_move_iterator(key_ids.begin()), std::make_move_iterator(key_ids.end()));\n    for (auto& [id, use] : uses_)\n        demand_if_foreign(use);\n",
           "    key_ids_.emplace(std::make_move_iterator(key_ids.begin()), std::make_move_iterator(key_ids.end()));\n"),
    Mutant("a step of our clock is taken for the issuer's", "agent/core/core.cpp",
           "        skew_ -= step;  // the issuer's goes on as it did\n", "        skew_ -= Duration::zero();\n"),
    Mutant("old generations go at once", "agent/core/volumes.cpp",
           "generation, now.boot + grace}", "generation, now.boot}", test="CoreTest.TheReplacedGenerationStaysForTheGraceTimeAndThenGoes"),
    Mutant("dropped volumes go without a listing", "agent/core/core.cpp",
           "volume.pod->gone) {", "volume.pod != nullptr) {",
           test="CoreTest.AVolumeThatIsBackWhenTheDirectoryCanBeReadAgainHasNotLeft"),
    Mutant("what fails goes first", "agent/core/tokens.cpp", "kTurnsToOneThatFails = 4", "kTurnsToOneThatFails = 1",
           test="CoreTest.RequestsThatAreNeverAnsweredStarveNoOtherToken"),
    Mutant("damage wakes nobody", "agent/core/volumes.cpp",
           "            dirty_volumes_.insert(volume.id);\n    };\n    if (!volumes) {", "            (void)volume;\n    };\n    if (!volumes) {"),
    Mutant("damage while publishing is lost", "agent/core/volumes.cpp",
           "(volume.published || volume.publishing)", "volume.published", test="CoreRareEvents.AVolumeThatIsTouchedWhileItIsPublishedIsComparedAgain"),
    Mutant("damage while trying again is lost", "agent/core/volumes.cpp",
           "outcome->repaired || failed_before", "outcome->repaired || (failed_before && now.boot < BootTime{})", test="CoreRareEvents.AVolumeThatIsTouchedWhileItIsTriedAgainIsComparedSoonAfter"),
    Mutant("the audit looks at no volume", "agent/core/core.cpp",
           "                    volume->audit = true;\n                    dirty_volumes_.insert(id);\n", "                    volume->audit = true;\n"),
    Mutant("news of an object wakes nobody", "agent/core/objects.cpp",
           "        wake_users({std::string(to_string(what.kind)), what.key});\n}\n\n// No token", "        return;\n}\n\n// No token"),
    Mutant("tokens are asked for before the account is known", "agent/core/registers.cpp",
           "!pod.gone && account_uids_.contains(planned_account(pod))", "!pod.gone",
           test="CoreOnACluster.AsksForATokenOnceTheAccountIsKnownAndPublishesOnceTheObjectsAre"),
    Mutant("two Pods in one directory", "agent/core/places.cpp", "        if (other == nullptr)", "        if (other == nullptr || other->plan)",
           test="CorePlaces.OfTwoPodsThatClaimOneDirectoryTheFirstStaysAndTheSecondIsTheError"),
    Mutant("who waits for a directory is forgotten", "agent/core/places.cpp",
           "    dirty_pods_.merge(std::exchange(pods_waiting_for_place_, {}));\n", "", test="CorePlaces.OfTwoPodsThatClaimOneDirectoryTheFirstStaysAndTheSecondIsTheError"),
    Mutant("a volume that moves is the same one", "agent/core/volumes.cpp",
           "(volume->direct ? *volume->direct == direct : direct.empty())", "(direct.empty() || !direct.empty())", test="CorePlaces.AVolumeThatMovesIsAtBothPlacesUntilTheOldOneIsLeft"),
]


def times_found(mutant: Mutant) -> int:
    return (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.text)


def run(*command: str | pathlib.Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


class Build:
    def __init__(self, path: str):
        self.path = pathlib.Path(path).resolve()
        self.commands: dict[str, list[str]] = {}

    def last_command(self, target: str) -> str:
        if target not in self.commands:
            done = run("ninja", "-C", self.path, "-t", "commands", target)
            if done.returncode:
                sys.exit(f"mutants: {target}: {done.stderr}{done.stdout}")
            self.commands[target] = [line for line in done.stdout.splitlines() if not line.startswith("ninja: ")]
        return self.commands[target][-1]

    def make(self, mutant: Mutant, target: str) -> pathlib.Path | str:
        """The mutated program, or why there is none."""
        source = ROOT / mutant.file
        text = source.read_text(encoding="utf-8")
        if (times := times_found(mutant)) != 1:
            return f"{mutant.file}: its text is there {times} times, not once"
        place = self.path / "mutants" / mutant.name.replace(" ", "-").replace("'", "")
        place.mkdir(parents=True, exist_ok=True)
        mutated = place / source.name
        mutated.write_text(text.replace(mutant.text, mutant.instead))
        self.last_command(target)
        compile_ = next(shlex.split(line) for line in self.commands[target] if line.endswith(f"-c {source}"))
        compiled = place / (source.name + ".o")
        compile_[-1] = str(mutated)
        compile_[compile_.index("-o") + 1] = str(compiled)
        done = run(*compile_, cwd=self.path)
        if done.returncode:
            return f"does not compile:\n{done.stderr}"
        program = place / pathlib.Path(target).name
        # What stands before the libraries is taken from there, and the product's own object is never pulled in.
        link = self.last_command(target).replace(f"-o {target} ", f"-o {program} {compiled} ")
        done = run("/bin/sh", "-c", link, cwd=self.path)
        return program if done.returncode == 0 else f"does not link:\n{done.stderr}"


def survives(build: Build, mutant: Mutant) -> str:
    """Why this mutant is not caught; nothing when it is."""
    program = build.make(mutant, mutant.program if mutant.test else "tests/sim/tokenlet_sim")
    if isinstance(program, str):
        return program
    arguments = [f"--gtest_filter={mutant.test}"] if mutant.test else SEEDS
    try:
        done = run(program, *arguments, timeout=300)
    except subprocess.TimeoutExpired:
        return ""  # never comes to rest
    if mutant.test and "[==========] Running 1 test" not in done.stdout:
        return f"there is no test {mutant.test}"
    caught = done.returncode != 0
    last = (done.stdout.strip().splitlines() or ["crashed"])[-1]
    print(f"{'caught  ' if caught else 'SURVIVED'}  {mutant.name}: {mutant.test or last.split('  ')[0]}", flush=True)
    return "" if caught else "survives"


def main(arguments: list[str], mutants: list[Mutant]) -> int:
    build = Build(arguments[0])
    wanted = [one for one in mutants if not arguments[1:] or one.name in arguments[1:]]
    targets = {one.program if one.test else "tests/sim/tokenlet_sim" for one in wanted}
    done = run("ninja", "-C", build.path, *sorted(targets))
    if done.returncode:
        sys.exit(f"mutants: the product itself does not build:\n{done.stdout}{done.stderr}")
    broken = {one.name: why for one in wanted if (why := survives(build, one))}
    for name, why in broken.items():
        print(f"mutants: {name}: {why}", file=sys.stderr)
    print(f"{len(wanted) - len(broken)} of {len(wanted)} mutants caught")
    return 1 if broken or not wanted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], MUTANTS))
