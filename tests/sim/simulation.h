// SPDX-License-Identifier: Apache-2.0
// A month of a fleet, drawn from a seed: the real agent core in a world where everything goes wrong that can.
//
// Shapes   run(options) -> Result: what happened, and what was broken. The same options give the same run, event by event.
// Units    simulated time.     Owns  its world.     Threads  one.
// Errors   a broken promise ends the run and says when, what and for whom; `trace` shows the way there.
//
// What goes wrong: the issuer is away, slow, refuses, answers twice, too late or for somebody else, runs on another clock,
// changes its key; accounts are made anew; manifests are edited, broken, unlinked and written again, taken away; the whole
// directory is unmounted; listings fail; the disk is full; the wall clock is stepped either way; the machine is suspended;
// the agent is killed at any command, started again, the machine rebooted; files are damaged under its hands. With every
// second pair of seeds accounts and ConfigMaps are a cluster's, whose watch is lost.
//
// What must hold, at every moment:
//   missing  a volume that was published stays complete while its Pod is in the directory, and for the removal delay after
//   mixed    all files of a volume come from one state of their sources
//   grace    a replaced generation stays for the grace time
//   removed  nothing is removed but by the removal rule, and not while removals are to be held
//   stale    a token that is due, or that the issuer's clock refuses, is replaced once the issuer could be reached for long
//            enough, across restarts
//   flight   at most one request in flight for a key
//   damage   what somebody did to a volume is undone, at once where the agent was told of it, else by the audit
//   needless no token is asked for that was neither due nor demanded by a change
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace tokenlet::sim {

struct Options {
    std::uint64_t seed = 1;
    int days = 30;
    int pods = 100;
    bool calm = false;   // nothing goes wrong: for measuring
    bool trace = false;  // every report and event to standard output
};

struct Outcome {
    std::string broken;  // empty: every promise held
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;
    std::uint64_t publishes = 0;
    std::uint64_t writes = 0;
    std::uint64_t crashes = 0;
    std::uint64_t deeds = 0;  // of people, machines and the issuer
    std::uint64_t removals = 0;
    std::uint64_t checks = 0;
};

[[nodiscard]] Outcome run(const Options& options);

}  // namespace tokenlet::sim
