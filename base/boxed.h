// SPDX-License-Identifier: Apache-2.0
// An optional value that takes no more room than a pointer while it is absent.
//
// Shapes   as std::optional, for what is rarely there and kept ten thousand times: an error, what an earlier run left.
// Owns     its value, on the heap.     Threads  as the value.     Errors  none; * and -> need a value, as with optional.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <utility>

namespace tokenlet {

template <class T>
class Boxed {
public:
    Boxed() = default;
    Boxed(std::nullopt_t) {}
    Boxed(T value) : value_(std::make_unique<T>(std::move(value))) {}
    Boxed(const Boxed& other)
        requires std::copy_constructible<T>
        : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(const Boxed& other)
        requires std::copy_constructible<T>
    {
        return *this = Boxed(other);
    }
    Boxed& operator=(Boxed&&) noexcept = default;
    ~Boxed() = default;

    void reset() noexcept { value_.reset(); }
    [[nodiscard]] bool has_value() const noexcept { return value_ != nullptr; }
    explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] T& operator*() noexcept { return *value_; }
    [[nodiscard]] const T& operator*() const noexcept { return *value_; }
    [[nodiscard]] T* operator->() noexcept { return value_.get(); }
    [[nodiscard]] const T* operator->() const noexcept { return value_.get(); }

    friend bool operator==(const Boxed& a, const Boxed& b)
        requires std::equality_comparable<T>
    {
        return a && b ? *a == *b : a.has_value() == b.has_value();
    }

private:
    std::unique_ptr<T> value_;
};

}  // namespace tokenlet
