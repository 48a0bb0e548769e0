// SPDX-License-Identifier: Apache-2.0
// Publishes a set of files in a directory so that a reader sees the old set or the new set, never a mix.
//
// Shapes   publish(volume, payload, options) -> what was done. A reader opens <volume>/token, which is a link to
//          ..data/token; ..data is a link to the current generation, a directory with all files; one rename of ..data
//          switches all of them.
// Units    modes are permission bits; `now` is the wall clock, which fsatomic does not read by itself.
// Owns     nothing between calls. Whoever calls keeps the Witness, which makes the check of an unchanged volume cheap.
// Threads  one writer per volume; readers any, at any time.
// Errors   Invalid: the payload. Denied: an owner, mode or access list that cannot be set. Io and others: by errno, with
//          call and file. Up to and including step 9 an error leaves the old set in place and takes the half-made
//          generation away; after it the new set stands and the next call mends the names. A retry always works.
// Source   kubernetes pkg/volume/util/atomic_writer.go, Write: the names and the order of events are its protocol, which
//          watchers depend on (inotify: CREATE generation, CREATE ..data_tmp, MOVED_TO ..data, then names).
// Differs  modes, owners, access lists and links are compared and repaired; nothing is left over after an error; a
//          left-over ..data_tmp is no obstacle; old generations stay for the caller's grace time; fsync on disks.
//
// The steps, with the same numbers in the body:
//   1  clean and validate all paths; nothing is touched for a bad one
//   2  look: which generation ..data names, which names of ours the volume shows, the mode of the volume
//   3  compare: bytes, types, modes, owners, access lists, extra files. Equal: on to 10
//   4  make the generation's directory, exclusively, 0700, nothing inherited
//   5  write all files, 0600, then owner, mode, access list of each
//   6  owner, mode, access list of the directories, the generation's last: now others can get in
//   7  Disk: fsync files (with 5) and directories
//      Full in 4 to 7: files of the current generation that somebody has grown go, and these steps are tried once more
//   8  link ..data_tmp to the generation
//   9  rename ..data_tmp to ..data: the switch
//  10  make or repair the link of each first path component: <c> -> ..data/<c>
//  11  remove links of ours that the payload no longer has
//  12  Disk: fsync the volume
//  13  remove older generations over the caps, oldest first
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "fsatomic/acl.h"
#include "fsatomic/confined_dir.h"
#include "fsatomic/generation.h"
#include "fsatomic/payload.h"

namespace tokenlet::fsatomic {

// An older generation that readers may still be using.
struct Generation {
    std::string name;
    std::uint64_t size_bytes = 0;
    bool operator==(const Generation&) const = default;
};

// Tells one state of a file or directory from another: any change of content or metadata moves the change time.
struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
};

// What a call saw and left. Opaque to callers, plain to move and keep; holds digests, no bytes of the payload. Lost (after
// a restart): the next call compares everything.
struct Witness {
    struct Seen {
        std::string path;  // in the generation; "" is the generation itself
        Stamp stamp;
    };
    std::string generation;  // empty: nothing is known
    std::uint64_t size_bytes = 0;
    Made made;                                // whose files are that name no owner
    std::array<unsigned char, 32> content{};  // digest of paths and bytes
    std::array<unsigned char, 32> access{};   // digest of paths, owners, modes, readers
    Stamp volume;
    std::vector<Seen> seen;            // every directory and file
    std::vector<std::string> names;    // first components, which the volume shows
    std::vector<std::string> blocked;  // of these, those where something of somebody else stands

    // Change times come in ticks of some milliseconds: a change in the same tick as the look would not show. So stamps
    // count only once the look is clearly younger than the last change.
    bool settled = false;
};

struct Caps {
    std::size_t generations = 8;
    std::uint64_t size_bytes = std::uint64_t{16} << 20;
};

// What is done about something of somebody else's where a name of the volume belongs. A directory is left alone anyway.
enum class Strangers {
    Replace,  // the volume is ours: whatever is not our link is damage
    Leave,    // the directory is shared: it stays, and the name counts as blocked
};

// What makes a file that was seen before as good as seen now.
enum class Trust {
    Stamps,  // its change time: one stat()
    Bytes,   // nothing but its bytes: who has a file mapped can change it without a trace
};

struct Options {
    WallTime now = {};         // names the generation
    std::uint64_t digits = 0;  // random; the name's second part, counted up where the name is taken
    Durability durability = Durability::Memory;
    std::optional<mode_t> volume_mode = 0755;  // unset: the directory is somebody else's
    Strangers strangers = Strangers::Replace;
    std::vector<Generation> retained = {};  // older generations in their grace time, oldest first
    Caps caps = {};                         // for what is retained, the one just replaced included
    Trust trust = Trust::Stamps;
    Witness witness = {};  // of the last call for this volume; empty: compare everything
};

enum class Change {
    None,
    Repaired,   // a link or the volume's mode, in place
    Published,  // a new generation
};

struct Outcome {
    Change change = Change::None;
    bool content_changed = false;           // Published: paths or bytes differ, not only access; a first time counts
    bool was_damaged = false;               // what the last call had left was no longer so; needs its witness
    std::string reason;                     // what was amiss: "token: content differs"; empty when nothing was
    std::string generation;                 // the current one
    std::optional<Generation> previous;     // Published: the one it replaced, to be retired after its grace time
    std::vector<Generation> retained = {};  // what of options.retained and previous stands, oldest first
    std::vector<std::string> blocked;       // names left alone because something of somebody else stands there
    Witness witness;
};

[[nodiscard]] Result<Outcome> publish(const UniqueFd& volume, const Payload& payload, Options options);

}  // namespace tokenlet::fsatomic
