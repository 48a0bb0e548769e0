// SPDX-License-Identifier: Apache-2.0
// What the authority must still know after a crash, in one SQLite file.
//
// Shapes   load_…() at start, save_…() later; each save is one transaction, however many records it carries.
// Owns     the database: dataDir/authority.db, WAL, synchronous=FULL: what a save returned for is on disk.
// Threads  one at a time.
// Errors   Io for the disk and for a file that is no database, with SQLite's words; Invalid for a database of a newer
//          tokenlet. A failed save leaves the database as it was.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "authority/records.h"
#include "authority/registry.h"
#include "base/result.h"

namespace tokenlet::authority {

class Store {
public:
    [[nodiscard]] static Result<Store> open(const std::string& path);
    Store(Store&&) noexcept;
    Store& operator=(Store&&) noexcept;
    ~Store();

    [[nodiscard]] Result<Registry> load_registry();
    [[nodiscard]] Result<> save(const RegistryChanges& changes);

    [[nodiscard]] Result<std::vector<KeyRecord>> load_keys();
    [[nodiscard]] Result<> save_keys(std::span<const KeyRecord> keys);  // all there are: others are forgotten

private:
    class Database;
    explicit Store(std::unique_ptr<Database> database);
    std::unique_ptr<Database> database_;
};

}  // namespace tokenlet::authority
