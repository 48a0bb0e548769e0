// SPDX-License-Identifier: Apache-2.0
// The objects that the manifests add up to.
//
// Shapes   apply(listing) -> what that changed. Objects are found by kind and namespace/name.
// Owns     the objects. Pointers to them hold until the next apply() or forget().
// Threads  one at a time.     Errors  become Problems: the current ones in problems(), and each as it comes and goes.
//
// No document is ever the reason that another one's object leaves. In particular:
// - A document or file that turns bad keeps its last good version in use, until it is good again, says something else,
//   or the object is found in another place.
// - Of two documents with one name the first stays, and so does the first of two Pods with one uid: first is the one
//   already in use; at the same time, the one whose file, then document, comes first. The second takes over when the
//   first is gone; where they share but a uid, when the first is forgotten, for until then its volumes stand there.
// - A ConfigMap or Secret that is immutable stays as it is until it is forgotten; another version of it waits.
// - An object whose document is gone becomes absent and stays until forget(). When it comes back before, it is the same
//   object. When to forget is the caller's to say; only after listings that were complete (Changes::complete).
//
// Differs  from the kubelet, where the last of two files wins and a file that turns bad stops its Pod.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kube/decode.h"
#include "kube/manifest_listing.h"
#include "kube/objects.h"

namespace tokenlet::kube {

struct Problem {
    std::string file;  // full path
    std::string what;  // "document 2: line 14: spec...: 300 is below 600"
    auto operator<=>(const Problem&) const = default;
    [[nodiscard]] std::string str() const { return file.empty() ? what : file + ": " + what; }
};

struct Changes {
    bool complete = false;           // as the listing was; a failed listing is not
    bool directory_changed = false;  // another directory (device, inode) than at the last listing that did not fail
    std::vector<Identity> changed;   // new, or with other content; sorted, as are the next two
    std::vector<Identity> absent;    // have just lost their document
    std::vector<Identity> returned;  // were absent, and are back: as before, unless also among `changed`
    std::vector<Problem> raised;
    std::vector<Problem> cleared;
};

class ManifestSet {
public:
    // A listing that failed changes no object: its error becomes a problem.
    Changes apply(Result<Listing> listing);

    // Lets go of an object that is absent; does nothing when it is not. A Pod that waited for its uid takes it.
    Changes forget(const Identity& identity);

    // Absent objects are found too: they are in use until they are forgotten. Null: there is none.
    [[nodiscard]] const Object* find(const Identity& identity) const;
    [[nodiscard]] const Pod* pod(const ObjectKey& key) const;
    [[nodiscard]] const ServiceAccount* service_account(const ObjectKey& key) const;
    [[nodiscard]] const ConfigMap* config_map(const ObjectKey& key) const;
    [[nodiscard]] const Secret* secret(const ObjectKey& key) const;
    [[nodiscard]] const ClusterTrustBundle* trust_bundle(const std::string& name) const;

    // All of a kind, in order of namespace and name.
    [[nodiscard]] std::vector<const Pod*> pods() const;
    [[nodiscard]] std::vector<const ServiceAccount*> service_accounts() const;
    [[nodiscard]] std::vector<const ConfigMap*> config_maps() const;
    [[nodiscard]] std::vector<const Secret*> secrets() const;
    [[nodiscard]] std::vector<const ClusterTrustBundle*> trust_bundles() const;

    [[nodiscard]] std::vector<Identity> absent() const;
    [[nodiscard]] bool is_absent(const Identity& identity) const;
    [[nodiscard]] const std::vector<Problem>& problems() const { return problems_; }

private:
    // Current: a good document says so. LastGood: a document or file that cannot be used said so before it turned bad.
    enum class State { Current, LastGood, Absent };
    struct Held {
        Object object;
        State state = State::Current;
    };
    // A good document that cannot be used because another one came first.
    struct Waiting {
        Identity identity;
        Object object;
    };
    struct Complaint {
        std::string what;
        std::optional<Identity> identity;  // unset: about the file, or a document that could not be read so far
    };
    using Place = std::pair<std::string, std::size_t>;  // file, position in it

    class Step;

    template <class T>
    [[nodiscard]] const T* find_as(const char* kind, const ObjectKey& key) const;
    template <class T>
    [[nodiscard]] std::vector<const T*> all(const char* kind) const;

    std::map<Identity, Held> held_;
    // What each one's documents hold, current or last good; the names are those that held_ has.
    std::map<std::string, std::set<const Identity*>> files_;
    std::map<std::string, std::vector<Complaint>> complaints_;  // of files that have some
    std::map<Place, Waiting> waiting_;
    std::map<std::string, ObjectKey> uids_;  // of the Pods held, where the manifest gives one
    std::optional<Error> listing_error_;
    std::vector<Problem> problems_;  // sorted
    std::optional<DirectoryIdentity> directory_;
};

}  // namespace tokenlet::kube
