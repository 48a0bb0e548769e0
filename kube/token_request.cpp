// SPDX-License-Identifier: Apache-2.0
#include "kube/token_request.h"

namespace tokenlet::kube {
namespace {

// Length in front, so that no choice of names can make two requests read the same.
void append(std::string& key, const std::string& text) {
    key += std::to_string(text.size()) + ":" + text + "/";
}

}  // namespace

std::string TokenRequest::key() const {
    std::string key;
    append(key, ns);
    append(key, service_account);
    key += std::to_string(audiences.size()) + "[";
    for (const std::string& audience : audiences)
        append(key, audience);
    key += "]" + std::to_string(expiration_seconds);
    if (bound_object_ref) {
        key += "@";
        append(key, bound_object_ref->kind);
        append(key, bound_object_ref->name);
        append(key, bound_object_ref->uid);
    }
    return key;
}

}  // namespace tokenlet::kube
