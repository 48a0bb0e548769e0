// SPDX-License-Identifier: Apache-2.0
// What every test program includes, read by the compiler once.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>
