# SPDX-License-Identifier: Apache-2.0
"""For each row of docs/kubelet-weaknesses.md: its fix taken out, and the test that must notice.

  weaknesses.py BUILD [NAME ...]   as tests/sim/mutants.py, whose way of making mutants this is

weaknesses_test.py holds list, document and sources together in every run of the suite.
"""
import dataclasses
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / "sim"))
import mutants  # noqa: E402

CORE = "tests/agent/tokenlet_core_tests"
SHELL = "tests/agent/tokenlet_agent_shell_tests"
CLI = "tests/cli/tokenlet_cli_tests"
FSATOMIC = "tests/fsatomic/tokenlet_fsatomic_tests"
KUBE = "tests/kube/tokenlet_kube_tests"
PROJECTOR = "tests/projector/tokenlet_projector_tests"
ROTATION = "tests/rotation/tokenlet_rotation_tests"


@dataclasses.dataclass
class WithoutFix(mutants.Mutant):
    row: int = 0


def row(number: int, name: str, file: str, text: str, instead: str, test: str, program: str = CORE) -> WithoutFix:
    return WithoutFix(name=f"{number}: {name}", file=file, text=text, instead=instead, test=test, program=program, row=number)


WEAKNESSES = [
    row(1, "a token from the future is as good as any", "rotation/schedule.cpp",
        "issuer_now < token.issued - kLeeway || ", "",
        "CoreTest.AStepOfTheWallClockEitherWayRenewsWhatItMakesInvalid"),
    row(2, "what the server's clock says changes nothing", "agent/core/tokens.cpp",
        "    skew_ += step;\n", "",
        "CoreWeaknessesAtACluster.TokensOfAServerWhoseClockWasAheadDoNotStayInvalidOnceItIsCorrected"),
    row(2, "the server's clock is known of tokens only", "agent/shell/cluster_issuer.cpp",
        "                  news_.clock(*result->server_time);\n", "                  {}\n",
        "ClusterIssuerTest.TellsTheServersClockAlsoWhileNoTokenIsAskedFor", SHELL),
    row(3, "ten seconds of jitter", "rotation/schedule.cpp",
        "std::min({ttl / 10, policy.max_jitter,", "std::min({ttl / 10, Duration(seconds(10)), policy.max_jitter,",
        "CoreWeaknessesInAFleet.ThreeHundredTokensOfOneMomentAreNotRenewedInASpikeNorAfterARestart"),
    row(3, "a restart draws all tokens together", "agent/core/tokens.cpp",
        "    tokens_.adopt(*use.token, std::move(held));", "    held.jitter = {};\n    tokens_.adopt(*use.token, std::move(held));",
        "CoreWeaknessesInAFleet.ThreeHundredTokensOfOneMomentAreNotRenewedInASpikeNorAfterARestart"),
    row(4, "a token for each file", "agent/core/tokens.cpp",
        "tokens_.want(request.key())", "tokens_.want(request.key() + std::to_string(++last_id_))",
        "CoreTest.SourcesWithTheSameAudienceAndLifetimeShareAToken"),
    row(4, "as many requests at once as there are tokens", "agent/core/tokens.cpp",
        "!asking_.empty() && tokens_.in_flight() < settings_.requests_at_once", "!asking_.empty()",
        "CoreTest.RequestsAreLimitedAndTheMostUrgentGoFirst"),
    row(5, "a restart knows of no token", "agent/core/tokens.cpp",
        "    tokens_.adopt(*use.token, std::move(held));", "    (void)held;",
        "CoreTest.ARestartAsksForNothingAndWritesNothing"),
    row(6, "a refusal is taken for the last word", "rotation/token_cache.cpp",
        "    token.next_try = boot_now + retry_delay(failure, left, random);",
        "    token.next_try = boot_now + (is_final(failure.code) ? std::chrono::hours(20) : retry_delay(failure, left, random));",
        "CoreWeaknesses.ARefusalOfTwentyHoursIsAskedAgainAllTheTimeAndShown"),
    row(6, "one line when it starts, and silence", "agent/core/tokens.cpp",
        "    if (stage <= use.told)", "    if (use.told != TokenUse::Told::Nothing)",
        "CoreWeaknesses.ARefusalOfTwentyHoursIsAskedAgainAllTheTimeAndShown"),
    row(7, "what leaves is not renewed any more", "agent/core/tokens.cpp",
        "    if (!verdict.ask || !may_ask(*use.pod))", "    if (!verdict.ask || !may_ask(*use.pod) || use.pod->absent_since)",
        "CoreWeaknesses.ATerminatingPodsTokenGoesOnBeingRenewed"),
    row(8, "a Pod is served as a whole or not at all", "agent/core/volumes.cpp",
        "    if (volume.plan == nullptr)\n        return;\n\n    std::vector<projector::TokenBytes> bytes;",
        "    if (volume.plan == nullptr)\n        return;\n    for (const VolumeState* other : volume.pod->volumes)\n"
        "        if (other != &volume && other->error)\n            return;\n\n    std::vector<projector::TokenBytes> bytes;",
        "CoreWeaknesses.OneVolumeThatCannotBeMadeDoesNotBlockTheTokensOfTheWholePod"),
    row(9, "a failed write leaves its staging behind", "fsatomic/generation_writer.cpp",
        "        (void)remove_tree(volume, name);  // as far as possible; what stays goes with the next sweep\n    return done;",
        "        {}\n    return done;",
        "PublishOnAFullDisk.KeepsTheOldSetAndWorksAgainOnceThereIsRoom", FSATOMIC),
    row(9, "a failed write takes the live volume down", "fsatomic/generation_writer.cpp",
        "        (void)remove_tree(volume, name);  // as far as possible; what stays goes with the next sweep\n    return done;",
        "        (void)remove_tree(volume, name), (void)remove_tree(volume, \"..data\");\n    return done;",
        "PublishOnAFullDisk.KeepsTheOldSetAndWorksAgainOnceThereIsRoom", FSATOMIC),
    row(10, "links are made with new content only", "fsatomic/publish.cpp",
        "        if (contains(look.shown, name))\n            continue;",
        "        if (contains(look.shown, name) || outcome.change == Change::None)\n            continue;",
        "PublishAfterACrash.BetweenTheSwitchAndItsLinksTheLinksAreMade", FSATOMIC),
    row(11, "modes are looked at with new content only", "fsatomic/comparison.cpp",
        "            compare_access(*opened, found, file.access, Node::File, path);\n", "            (void)file.access;\n",
        "PublishAfterACrash.BetweenWritingAndTheModesTheModesAreSetThoughTheContentIsEqual", FSATOMIC),
    row(12, "a mount by subPath is passed over in silence", "cli/mounts_verb.cpp",
        "            else if (!mount.sub_path.empty())", "            else if (mount.sub_path == \"/\")",
        "MountsTest.WhatCannotBePastedIsRemarkedOn", CLI),
    row(12, "a mount of a generation that is gone is none", "agent/shell/file_mounts.cpp",
        "        rest.remove_suffix(kDeleted.size());", "        return {};",
        "FileMountIn.IsWhatShowsOneGenerationOfAVolume", SHELL),
    row(13, "an edit waits for the next look at everything", "agent/core/pods.cpp",
        "    if (const auto users = users_.find(used); users != users_.end())", "    if (const auto users = users_.find(used); users == users_.end())\n        return;\n    else if (used.first == projector::ObjectKind::Secret)",
        "CoreTest.AConfigMapEditReachesTheFilesAndAsksForNoToken"),
    row(14, "a static Pod has no service account", "projector/admission.cpp",
        "    if (!automounts(pod, *account))", "    if (!automounts(pod, *account) || pod.meta.annotations.contains(\"kubernetes.io/config.source\"))",
        "CoreWeaknesses.AStaticPodHasItsServiceAccountsToken"),
    row(15, "nobody but the one user reads", "projector/access.cpp",
        "        access.readers.insert(access.readers.end(), who.readers.begin(), who.readers.end());", "        (void)who;",
        "TokenAccess.IsTheKubeletsOrGrantsTheSameReadersByList", PROJECTOR),
    row(16, "the group reads without having been named", "projector/access.cpp",
        "    if (who.fs_group)\n        mode |=", "    if (mode != 0)\n        mode |=",
        "ObjectAccess.IsTheKubeletsOrGrantsTheSameReadersByList", PROJECTOR),
    row(17, "who has written it has read it", "agent/shell/status_json.cpp",
        "return read > wall_of(status.stx_mtime) ? std::optional(read) : std::nullopt;", "return read;",
        "StatusJson.TellsWhenATokenWasLastRead", SHELL),
    row(17, "looking at a file counts as reading it", "fsatomic/comparison.cpp",
        "kFlags | O_NOATIME", "kFlags", "On/Publish.LeavesTheAccessTimeOfFilesAlone/Disk", FSATOMIC),
    row(18, "..data is taken away before it is there again", "fsatomic/publish.cpp",
        "    if (::renameat(volume.get(), kNewDataLink, volume.get(), kDataLink) == 0)",
        "    ::unlinkat(volume.get(), kDataLink, 0);\n    if (::renameat(volume.get(), kNewDataLink, volume.get(), kDataLink) == 0)",
        "Watcher.SeesTheKubeletsEventsInTheKubeletsOrder", FSATOMIC),
    row(19, "a day, whatever is configured", "rotation/schedule.cpp",
        "    if (by_fraction <= policy.max_age)", "    if (by_fraction <= std::chrono::hours(24))",
        "Due.FollowsTheConfiguredFractionAndAge", ROTATION),
    row(20, "80 %, whatever is configured", "rotation/schedule.cpp",
        "std::llround((1.0 - fraction) * 1000)", "std::llround((1.0 - std::max(fraction, 0.8)) * 1000)",
        "CoreWeaknessesByConfiguration.ATenMinuteTokenIsRenewedEverySixSeconds"),
    row(21, "a token ends when it was meant to", "agent/core/snapshot.cpp",
        "file.valid_until = token.held->valid_until;", "file.valid_until = token.held->times.expires;",
        "CoreWeaknesses.TheRealEndOfATokenThatTheServerExtendsIsKnownAlsoAfterARestart"),
    row(21, "a restart forgets how long a token lasts", "agent/core/volumes.cpp",
        ".valid_until = held.valid_until", ".valid_until = held.times.expires",
        "CoreWeaknesses.TheRealEndOfATokenThatTheServerExtendsIsKnownAlsoAfterARestart"),
    row(21, "nobody is told", "cli/explain_verb.cpp",
        "*file.valid_until > *file.expires_at", "*file.valid_until < *file.expires_at",
        "Explanation.SaysHowLongACopyOfATokenIsGoodThatTheServerExtends", CLI),
    row(22, "an account is its name", "agent/core/tokens.cpp",
        "    return other_issuer || other_key || other_account;", "    (void)other_account;\n    return other_issuer || other_key;",
        "CoreTest.AServiceAccountMadeAnewMeansANewTokenAtOnce"),
    row(23, "what an earlier run left is nobody's", "agent/core/leaving.cpp",
        "        if (!here && !pod->gone && !pod->absent_since)", "        if (!here && !pod->gone && !pod->absent_since && pod->seen)",
        "CoreTest.WhatAnEarlierRunLeftWithoutManifestGoesLikeAnyOther"),
    row(23, "a Pod's empty directories stay", "agent/shell/found_volumes.cpp",
        "        if (paths.empty())\n            remove_empty(uid);\n", "        (void)&Search::remove_empty;\n",
        "FileSystems/VolumeStoreOn.LeavesNoEmptyDirectoriesOfAPodBehind/Tmpfs", SHELL),
    row(24, "..data says that the volume is set up", "fsatomic/comparison.cpp",
        "    if (!top) {\n        comparer.differs(top.error().what);", "    if (!top) {",
        "PublishAfterACrash.AVolumeThatOnlyLooksSetUpIsMadeAgain", FSATOMIC),
    row(25, "a queue that ran over is no news", "kube/directory_watch.cpp",
        "        writing_.clear();  // their closing may be among what was lost\n        set_all_due();\n", "        writing_.clear();\n",
        "On/ManifestDirectoryTest.AnOverflowingQueueLeadsToAListing/Tmpfs", KUBE),
    row(25, "..data is a hidden file", "kube/directory_watch.cpp",
        "    if (name == kDataLink)\n        set_all_due();\n    else\n", "    if (name != kDataLink)\n",
        "On/ManifestDirectoryTest.ASwappedDataLinkIsSeenAsOneChange/Tmpfs", KUBE),
    row(25, "a link is watched like a file", "kube/manifest_directory.cpp",
        "        if (changes_unseen(name))", "        if (changes_unseen(name) && name.empty())",
        "On/ManifestDirectoryTest.TrustsNoWatchWhereAFileIsALink/Tmpfs", KUBE),
    row(25, "no watch is as good as a watch", "kube/manifest_directory.cpp",
        "    trusted_ = watch_.is_watched() && ", "    trusted_ = ",
        "ManifestSurroundings.WithoutInotifyItWorksByResyncAlone", KUBE),
    row(26, "a token does not age while the machine sleeps", "rotation/token_cache.cpp",
        "    if (next.at <= boot_now)\n        return ask(next.rule);\n", "",
        "CoreWeaknesses.AfterASuspendNoExpiredTokenIsLeftForTheNextSync"),
    row(26, "the alarm stands still while the machine sleeps", "agent/shell/timers.cpp",
        "::timerfd_create(CLOCK_BOOTTIME,", "::timerfd_create(CLOCK_MONOTONIC,",
        "Timers.CountThroughASuspend", SHELL),
    row(27, "failures are not counted", "agent/core/snapshot.cpp",
        "    file.failures = token.failures;\n", "",
        "CoreWeaknesses.AFailedRenewalShowsItsAgeItsTimeLeftAndHowOftenItFailed"),
    row(27, "failures are counted, and kept to itself", "agent/shell/status_json.cpp",
        '            {"failures", file.failures},\n', "",
        "StatusJson.HasTheFieldsThatTheFormPromises", SHELL),
]

if __name__ == "__main__":
    sys.exit(mutants.main(sys.argv[1:], WEAKNESSES))
