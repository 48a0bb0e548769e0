// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/layout.h"

#include <openssl/evp.h>

#include <memory>

#include "fsatomic/path.h"

namespace tokenlet::fsatomic {
namespace {

class Sha256 {
public:
    // Fetched once: a lookup by name would cost more than the hashing of a token.
    Sha256() : context_(EVP_MD_CTX_new()) {
        static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
        good_ = context_ != nullptr && EVP_DigestInit_ex2(context_.get(), algorithm, nullptr) == 1;
    }
    // With its length in front, so that ("a", "bc") and ("ab", "c") differ.
    void add(std::string_view bytes) {
        add_number(bytes.size());
        update(bytes.data(), bytes.size());
    }
    void add_number(std::uint64_t number) { update(&number, sizeof number); }
    [[nodiscard]] bool finish(Digest& digest) {
        return good_ && EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1;
    }

private:
    void update(const void* data, std::size_t size) {
        good_ = good_ && EVP_DigestUpdate(context_.get(), data, size) == 1;
    }

    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_;
    bool good_ = false;
};

void add_access(Sha256& hash, const Access& access) {
    constexpr std::uint64_t kUnset = ~std::uint64_t{0};
    hash.add_number(access.mode);
    hash.add_number(access.owner ? *access.owner : kUnset);
    hash.add_number(access.group ? *access.group : kUnset);
    hash.add_number(access.readers.size());
    for (const Reader& reader : access.readers) {
        hash.add_number(static_cast<std::uint64_t>(reader.kind));
        hash.add_number(reader.id);
    }
}

std::unexpected<Error> clash(const std::string& path, std::string_view why) {
    return fail(Errc::Invalid, "path '" + path + "': " + std::string(why));
}

}  // namespace

std::string join(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

Result<Layout> lay_out(const Payload& payload) {
    Layout layout;
    layout.directories[""];
    std::set<std::string> names;
    for (const auto& [raw, file] : payload.files) {
        const std::string path = TRY(clean_path(raw));
        std::string directory;
        std::size_t start = 0;
        for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', start)) {
            const std::string name = path.substr(start, slash - start);
            Layout::Contents& parent = layout.directories[directory];
            if (parent.files.contains(name))
                return clash(path.substr(0, slash), "is a file and, for another path, a directory");
            parent.directories.insert(name);
            directory = path.substr(0, slash);
            layout.directories[directory];
            start = slash + 1;
        }
        const std::string name = path.substr(start);
        Layout::Contents& parent = layout.directories[directory];
        if (parent.directories.contains(name))
            return clash(path, "is a file and, for another path, a directory");
        if (!parent.files.emplace(name, &file).second)
            return clash(path, "is there twice");
        names.emplace(first_component(path));
        layout.size_bytes += file.bytes.size();
    }
    layout.names.assign(names.begin(), names.end());
    return layout;
}

Result<Digests> digest(const Payload& payload) {
    Sha256 content;
    Sha256 access;
    add_access(access, payload.directories);
    for (const auto& [path, file] : payload.files) {
        content.add(path);
        content.add(file.bytes.view());
        access.add(path);
        add_access(access, file.access);
    }
    Digests digests{};
    if (!content.finish(digests.content) || !access.finish(digests.access))
        return fail(Errc::Internal, "SHA-256: not available in this OpenSSL");
    return digests;
}

}  // namespace tokenlet::fsatomic
