// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/layout.h"

#include <openssl/evp.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "fsatomic/path.h"

namespace tokenlet::fsatomic {
namespace {

// Gathers small things so that OpenSSL, whose calls cost more than the hashing of a number, is asked once.
void add_number(std::string& text, std::uint64_t number) {
    text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// With its length in front, so that ("a", "bc") and ("ab", "c") differ.
void add_text(std::string& text, std::string_view part) {
    add_number(text, part.size());
    text += part;
}

void add_access(std::string& text, const Access& access) {
    constexpr std::uint64_t kUnset = ~std::uint64_t{0};
    add_number(text, access.mode);
    add_number(text, access.owner ? *access.owner : kUnset);
    add_number(text, access.group ? *access.group : kUnset);
    add_number(text, access.readers.size());
    for (const Reader& reader : access.readers) {
        add_number(text, static_cast<std::uint64_t>(reader.kind));
        add_number(text, reader.id);
    }
}

// Fetched once: a lookup by name would cost more than the hashing of a token.
const EVP_MD* sha256() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return algorithm;
}

struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

bool hash_all(EVP_MD_CTX* context, std::initializer_list<std::string_view> parts) {
    return std::ranges::all_of(
        parts, [context](std::string_view part) { return EVP_DigestUpdate(context, part.data(), part.size()) == 1; });
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
    const Context context(EVP_MD_CTX_new());
    Digests digests{};
    bool good = context != nullptr && EVP_DigestInit_ex2(context.get(), sha256(), nullptr) == 1;
    std::string access, head;
    add_access(access, payload.directories);
    for (const auto& [path, file] : payload.files) {
        head.clear();
        add_text(head, path);
        add_number(head, file.bytes.size());
        good = good && hash_all(context.get(), {head, file.bytes.view()});
        add_text(access, path);
        add_access(access, file.access);
    }
    good = good && EVP_DigestFinal_ex(context.get(), digests.content.data(), nullptr) == 1 &&
           EVP_DigestInit_ex2(context.get(), nullptr, nullptr) == 1 && hash_all(context.get(), {access}) &&
           EVP_DigestFinal_ex(context.get(), digests.access.data(), nullptr) == 1;
    if (!good)
        return fail(Errc::Internal, "SHA-256: not available in this OpenSSL");
    return digests;
}

}  // namespace tokenlet::fsatomic
