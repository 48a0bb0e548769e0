// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tokenlet {

Secret::Secret(Secret&& other) noexcept
    : data_(std::move(other.data_)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe();
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
    }
    return *this;
}

std::string Secret::redacted() const {
    return "[" + std::to_string(size_) + " bytes]";
}

void Secret::append(std::string_view bytes) {
    if (size_ + bytes.size() > capacity_) {
        const std::size_t capacity = std::max(size_ + bytes.size(), capacity_ * 2);
        auto grown = std::make_unique_for_overwrite<char[]>(capacity);
        if (size_ > 0) {
            std::memcpy(grown.get(), data_.get(), size_);
            wipe_memory(data_.get(), size_);
        }
        data_ = std::move(grown);
        capacity_ = capacity;
    }
    if (!bytes.empty())
        std::memcpy(data_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
}

void Secret::wipe() noexcept {
    if (data_)
        wipe_memory(data_.get(), size_);
    data_.reset();
    size_ = capacity_ = 0;
}

bool operator==(const Secret& a, const Secret& b) noexcept {
    if (a.size_ != b.size_)
        return false;
    unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size_; ++i)
        difference |= static_cast<unsigned char>(a.data_[i] ^ b.data_[i]);
    return difference == 0;
}

void wipe_memory(void* data, std::size_t size) noexcept {
    ::explicit_bzero(data, size);
}

}  // namespace tokenlet
