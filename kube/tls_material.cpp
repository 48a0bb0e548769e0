// SPDX-License-Identifier: Apache-2.0
#include "kube/tls_material.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <string>

namespace tokenlet::kube {
namespace {

template <auto Free>
struct Freer {
    template <class T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

Bio reader_of(std::string_view bytes) {
    return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// OpenSSL keeps a queue of errors for each thread, which the next who asks would take for its own.
void forget_errors() {
    ERR_clear_error();
}

// Asked for the passphrase of an encrypted key; OpenSSL's own would ask on the terminal.
int no_passphrase(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return 0;
}

std::unexpected<Error> not_pem(std::string_view bytes, std::string_view expected) {
    constexpr char kDerSequence = 0x30;
    std::string text = "holds no " + std::string(expected) + " in PEM";
    if (bytes.empty())
        text += "; it is empty";
    else if (bytes.front() == kDerSequence)
        text += "; it looks like DER";
    else if (bytes.contains("-----BEGIN "))
        text += "; what it holds is something else, or damaged";
    return fail(Errc::Invalid, std::move(text));
}

Result<Certificate> first_certificate(std::string_view pem) {
    Certificate certificate(PEM_read_bio_X509(reader_of(pem).get(), nullptr, no_passphrase, nullptr));
    forget_errors();
    if (!certificate)
        return not_pem(pem, "certificate");
    return certificate;
}

Result<Key> private_key(std::string_view pem) {
    bool asked = false;
    Key key(PEM_read_bio_PrivateKey(reader_of(pem).get(), nullptr, no_passphrase, &asked));
    forget_errors();
    if (asked)
        return fail(Errc::Invalid, "the key is encrypted with a passphrase, which nobody is there to type");
    if (!key)
        return not_pem(pem, "private key");
    return key;
}

Result<WallTime> to_wall_time(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return fail(Errc::Invalid, "the certificate holds a time that is none");
    const std::chrono::seconds seconds(::timegm(&parts));
    // What 64 bits of nanoseconds cannot hold is as good as never.
    if (seconds > std::chrono::duration_cast<std::chrono::seconds>(Duration::max()))
        return WallTime::max();
    return WallTime(seconds);
}

}  // namespace

Result<> check_authorities(std::string_view pem) {
    TRY(first_certificate(pem));
    // Each of the others must be readable, too: TLS would pass over a damaged one in silence.
    const Bio bio = reader_of(pem);
    int count = 0;
    while (Certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)))
        ++count;
    const bool is_at_the_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    forget_errors();
    if (!is_at_the_end)
        return fail(Errc::Invalid, "certificate " + std::to_string(count + 1) + " of it is damaged");
    return {};
}

Result<CertificateTimes> read_client_pair(const ClientPair& pair) {
    const Certificate certificate = TRY(first_certificate(pair.certificate_pem), pair.certificate_where);
    const Key key = TRY(private_key(pair.key_pem), pair.key_where);
    const bool fits = X509_check_private_key(certificate.get(), key.get()) == 1;
    forget_errors();
    if (!fits)
        return fail(Errc::Invalid, std::string(pair.key_where) + ": the key is not that of the certificate in " +
                                       std::string(pair.certificate_where));
    CertificateTimes times;
    times.not_before = TRY(to_wall_time(X509_get0_notBefore(certificate.get())), pair.certificate_where);
    times.not_after = TRY(to_wall_time(X509_get0_notAfter(certificate.get())), pair.certificate_where);
    return times;
}

Result<> check_times(const CertificateTimes& times, WallTime now) {
    if (now >= times.not_after)
        return fail(Errc::Unavailable, "the client certificate expired at " + rfc3339(times.not_after));
    if (now < times.not_before)
        return fail(Errc::Unavailable, "the client certificate is valid only from " + rfc3339(times.not_before) +
                                           "; is this machine's clock right?");
    return {};
}

}  // namespace tokenlet::kube
