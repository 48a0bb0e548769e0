// SPDX-License-Identifier: Apache-2.0
#include "kube/token_request.h"

namespace tokenlet::kube {
namespace {

TokenRequest request() {
    return {.ns = "shop",
            .service_account = "web",
            .audiences = {"vault"},
            .expiration_seconds = 3600,
            .bound_object_ref = BoundObjectRef{"Pod", "web", "u-1"}};
}

TEST(TokenRequestKey, SaysTheSameForTheSameRequest) {
    EXPECT_EQ(request().key(), request().key());
}

TEST(TokenRequestKey, DiffersWithEveryField) {
    std::set<std::string> keys = {request().key()};
    const auto add = [&](auto change) {
        TokenRequest changed = request();
        change(changed);
        EXPECT_TRUE(keys.insert(changed.key()).second) << changed.key();
    };
    add([](TokenRequest& r) { r.ns = "shop2"; });
    add([](TokenRequest& r) { r.service_account = "web2"; });
    add([](TokenRequest& r) { r.audiences = {}; });
    add([](TokenRequest& r) { r.audiences = {""}; });
    add([](TokenRequest& r) { r.audiences = {"vault", "x"}; });
    add([](TokenRequest& r) { r.audiences = {"x", "vault"}; });
    add([](TokenRequest& r) { r.expiration_seconds = 3607; });
    add([](TokenRequest& r) { r.bound_object_ref.reset(); });
    add([](TokenRequest& r) { r.bound_object_ref->kind = "Secret"; });
    add([](TokenRequest& r) { r.bound_object_ref->name = "web2"; });
    add([](TokenRequest& r) { r.bound_object_ref->uid = "u-2"; });
}

TEST(TokenRequestKey, CannotBeForgedByNamesWithSeparators) {
    TokenRequest a = request();
    a.audiences = {"x/3:y", "z"};
    TokenRequest b = request();
    b.audiences = {"x", "y/1:z"};
    EXPECT_NE(a.key(), b.key());
}

}  // namespace
}  // namespace tokenlet::kube
