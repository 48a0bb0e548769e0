// SPDX-License-Identifier: Apache-2.0
// Bytes that must not leak: token, key and Secret data.
//
// Shapes   move-only; copy() makes a second owner where one is really needed. view() is for handing the bytes on.
// Owns     its memory, which is wiped before it is given back (also when it grows).
// Threads  any, one at a time.     Errors  none; out of memory ends the process.
//
// There is no conversion to std::string, and the only text it gives of itself is redacted(): "[1043 bytes]".
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tokenlet {

class Secret {
public:
    Secret() noexcept = default;
    explicit Secret(std::string_view bytes) { append(bytes); }
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    ~Secret() { wipe(); }

    [[nodiscard]] Secret copy() const { return Secret(view()); }
    [[nodiscard]] std::string_view view() const noexcept { return {data_.get(), size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::string redacted() const;

    void append(std::string_view bytes);
    void wipe() noexcept;

    // Takes the same time wherever the first difference stands.
    friend bool operator==(const Secret& a, const Secret& b) noexcept;

private:
    std::unique_ptr<char[]> data_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

// Overwrites memory in a way that the optimizer keeps.
void wipe_memory(void* data, std::size_t size) noexcept;

}  // namespace tokenlet
