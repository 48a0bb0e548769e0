#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Verifies service account tokens as a stranger would: from the JWKS file, with PyJWT, sharing no code with tokenlet.

usage: verify_tokens.py JWKS < expectations

Standard input holds one JSON object a line:
    {"token_file": PATH, "alg": "ES256", "iss": ..., "aud": [...], "sub": ..., "lifetime_seconds": 600,
     "pod": {"name": ..., "uid": ...}, "now": SECONDS}
`lifetime_seconds` is exp - iat; without `pod` the token must be bound to none; without `now` the real time counts.
Prints one line a token; exits with 1, after all of them, when one is not as expected.
"""

import base64
import hashlib
import json
import sys

import jwt
from cryptography.hazmat.primitives import serialization

# What an API server signs, in its order.
TOP = ["aud", "exp", "iat", "iss", "jti", "kubernetes.io", "nbf", "sub"]
PRIVATE = ["namespace", "node", "pod", "secret", "serviceaccount", "warnafter"]
WIDTHS = {"P-256": 32, "P-384": 48, "P-521": 66}


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def require(condition, message):
    if not condition:
        raise AssertionError(message)


def load_keys(path):
    """The public keys by kid, each kid recomputed from its key."""
    keys = {}
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    for jwk in document["keys"]:
        members = ["crv", "x", "y"] if jwk["kty"] == "EC" else ["n", "e"]
        require(list(jwk) == ["use", "kty", "kid", "alg"] + members, f"members of the JWK: {list(jwk)}")
        if jwk["kty"] == "EC":
            widths = {len(decoded(jwk["x"])), len(decoded(jwk["y"]))}
            require(widths == {WIDTHS[jwk["crv"]]}, f"coordinates of {jwk['crv']} have widths {widths}")
        key = jwt.PyJWK(jwk, algorithm=jwk["alg"]).key
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        require(jwk["kid"] == unpadded(hashlib.sha256(der).digest()), f"kid {jwk['kid']} is not its key's")
        keys[jwk["kid"]] = (key, jwk["alg"])
    return keys


def verify(keys, want):
    with open(want["token_file"], encoding="ascii") as file:
        token = file.read()
    header = json.loads(decoded(token.split(".")[0]))
    require(list(header) == ["alg", "kid"], f"members of the header: {list(header)}")
    require(header["alg"] == want["alg"], f"alg {header['alg']}, expected {want['alg']}")
    require(header["kid"] in keys, f"kid {header['kid']} is not in the JWKS")
    key, algorithm = keys[header["kid"]]
    require(algorithm == header["alg"], f"the JWKS has this key for {algorithm}")

    fixed_time = "now" in want
    # PyJWT checks signature, aud and iss, and the times against the real clock; a given `now` is checked below.
    claims = jwt.decode(token, key, algorithms=[algorithm], audience=want["aud"], issuer=want["iss"],
                        options={"verify_exp": not fixed_time, "verify_nbf": not fixed_time,
                                 "verify_iat": not fixed_time})
    if fixed_time:
        require(claims["nbf"] <= want["now"] < claims["exp"], "not valid at the time given")
    require(list(claims) == TOP, f"order of the claims: {list(claims)}")
    private = claims["kubernetes.io"]
    require(list(private) == [name for name in PRIVATE if name in private], f"order of kubernetes.io: {list(private)}")
    require(claims["aud"] == want["aud"], f"aud {claims['aud']}")
    require(claims["sub"] == want["sub"], f"sub {claims['sub']}")
    require(claims["nbf"] == claims["iat"], "nbf is not iat")
    lifetime = claims["exp"] - claims["iat"]
    require(lifetime == want["lifetime_seconds"], f"exp - iat is {lifetime}, expected {want['lifetime_seconds']}")
    require(private.get("pod") == want.get("pod"), f"pod {private.get('pod')}, expected {want.get('pod')}")

    # A changed claim must not pass, or all of the above proves nothing.
    head, body, signature = token.split(".")
    forged = ".".join([head, unpadded(decoded(body).replace(b'"sub":"', b'"sub":"x')), signature])
    try:
        jwt.decode(forged, key, algorithms=[algorithm], audience=want["aud"], issuer=want["iss"],
                   options={"verify_exp": False, "verify_nbf": False, "verify_iat": False})
    except jwt.InvalidSignatureError:
        return
    raise AssertionError("a forged token was accepted")


def main():
    if len(sys.argv) != 2:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    keys = load_keys(sys.argv[1])
    failed = 0
    count = 0
    for line in sys.stdin:
        want = json.loads(line)
        count += 1
        try:
            verify(keys, want)
            print(f"{want['token_file']}: verified {want['alg']}")
        except (AssertionError, KeyError, ValueError, jwt.PyJWTError) as error:
            failed += 1
            print(f"{want['token_file']}: {error!r}")
    if count == 0:
        print("no tokens given")
    return 1 if failed or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
