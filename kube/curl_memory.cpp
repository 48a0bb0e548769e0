// SPDX-License-Identifier: Apache-2.0
#include "kube/curl_memory.h"

#include <curl/curl.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/secret.h"

namespace tokenlet::kube {
namespace {

void wiping_free(void* memory) noexcept {
    if (memory == nullptr)
        return;
    wipe_memory(memory, ::malloc_usable_size(memory));
    std::free(memory);
}

void* wiping_realloc(void* memory, std::size_t size) noexcept {
    if (memory == nullptr)
        return std::malloc(std::max<std::size_t>(size, 1));
    const std::size_t usable = ::malloc_usable_size(memory);
    if (size != 0 && size <= usable && size >= usable / 2)
        return memory;
    void* grown = std::malloc(std::max<std::size_t>(size, 1));
    if (grown == nullptr)
        return nullptr;
    std::memcpy(grown, memory, std::min(size, usable));
    wiping_free(memory);
    return grown;
}

char* copy_of(const char* text) noexcept {
    return ::strdup(text);
}

}  // namespace

Result<> start_curl() {
    static const CURLcode code =
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, std::malloc, wiping_free, wiping_realloc, copy_of, std::calloc);
    if (code != CURLE_OK)
        return fail(Errc::Internal, std::string("libcurl cannot be started: ") + curl_easy_strerror(code));
    return {};
}

}  // namespace tokenlet::kube
