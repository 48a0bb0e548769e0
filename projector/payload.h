// SPDX-License-Identifier: Apache-2.0
// The files of one volume, from its plan, its tokens and the objects it names.
//
// Shapes   build(plan, volume, tokens, objects) -> Payload. Pure: the objects are asked through Objects.
// Owns     the Payload owns copies of all bytes.     Threads  any, one at a time.
// Errors   every source is tried, all that failed stand in one message, each with its place in the manifest:
//          `sources[1].configMap "web-config": not found; sources[2].secret "tls": key "tls.key": not found`. One error
//          and there is no payload: what was published before stays. The code is the first error's, unless a later one
//          asks for a retry (Unavailable, Io, Conflict): then the caller has to come back by itself.
// Source   kubernetes pkg/volume/projected/projected.go collectData, secret.go and configmap.go MakePayload.
//
// Of two files with one path the later source wins, whatever kinds they are. A path that is a directory of another is an
// error. `optional` excuses an absent object (no files; for a trust bundle an empty file) and an absent key (not that
// file), no other error.
//
// Differs  paths are cleaned before they are merged, so that two spellings are one path: upstream leaves the winner of
//          those to chance.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fsatomic/payload.h"
#include "kube/objects.h"
#include "projector/plan.h"

namespace tokenlet::projector {

// The objects as they are now. Pointers need to last until build() returns. NotFound: there is no such object. Any other
// error: it cannot be told (no answer yet, no right to look).
class Objects {
public:
    virtual ~Objects() = default;
    virtual Result<const kube::ConfigMap*> config_map(const kube::ObjectKey& key) const = 0;
    virtual Result<const kube::Secret*> secret(const kube::ObjectKey& key) const = 0;
    virtual Result<std::vector<const kube::ClusterTrustBundle*>> trust_bundles() const = 0;
};

// The token for a source, or why there is none.
using TokenBytes = Result<std::string_view>;

// tokens: one for each of token_sources(volume), in that order.
[[nodiscard]] Result<fsatomic::Payload> build(const Plan& plan, const VolumePlan& volume,
                                              std::span<const TokenBytes> tokens, const Objects& objects);

}  // namespace tokenlet::projector
