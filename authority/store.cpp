// SPDX-License-Identifier: Apache-2.0
#include "authority/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"

namespace tokenlet::authority {
namespace {

constexpr int kSchemaVersion = 1;

// Times are whole seconds since the epoch; uids and names are text.
constexpr char kSchema[] = R"(
CREATE TABLE service_accounts(namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, declared INTEGER NOT NULL,
    PRIMARY KEY(namespace, name)) STRICT, WITHOUT ROWID;
CREATE TABLE pods(namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, service_account TEXT NOT NULL,
    node_name TEXT NOT NULL, deletion_timestamp INTEGER, PRIMARY KEY(namespace, name)) STRICT, WITHOUT ROWID;
CREATE TABLE nodes(name TEXT NOT NULL PRIMARY KEY, uid TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE keys(kid TEXT NOT NULL PRIMARY KEY, algorithm TEXT NOT NULL, jwk TEXT NOT NULL,
    published_at INTEGER NOT NULL, signing_since INTEGER, retired_at INTEGER, signed_until INTEGER)
    STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
)";

struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
struct Close {
    void operator()(sqlite3* database) const noexcept { sqlite3_close(database); }
};

std::int64_t to_seconds(WallTime time) {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

// The system call, or calls, behind an extended result code, or "" where SQLite does not say.
std::string_view call_of(int code) {
    switch (code) {
        case SQLITE_IOERR_READ:
        case SQLITE_IOERR_SHORT_READ:
        case SQLITE_IOERR_CORRUPTFS:
            return "read";
        case SQLITE_IOERR_WRITE:
        case SQLITE_FULL:
            return "write";
        case SQLITE_IOERR_SHMSIZE:
            return "stat or write";
        case SQLITE_IOERR_FSYNC:
        case SQLITE_IOERR_DIR_FSYNC:
            return "fsync";
        case SQLITE_IOERR_TRUNCATE:
            return "truncate";
        case SQLITE_IOERR_FSTAT:
            return "stat";
        case SQLITE_IOERR_ACCESS:
            return "access";
        case SQLITE_IOERR_LOCK:
        case SQLITE_IOERR_RDLOCK:
        case SQLITE_IOERR_UNLOCK:
        case SQLITE_IOERR_CHECKRESERVEDLOCK:
        case SQLITE_IOERR_SHMLOCK:
            return "lock";
        case SQLITE_CANTOPEN:
            return "open";
        case SQLITE_IOERR_SHMOPEN:
            return "open or truncate";
        case SQLITE_IOERR_SHMMAP:
        case SQLITE_IOERR_MMAP:
            return "mmap";
        case SQLITE_IOERR_DELETE:
            return "unlink";
        default:
            return "";
    }
}

// One prepared statement: bind in order, run() or next(), and again.
class Statement {
public:
    explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

    template <class... Values>
    void bind(const Values&... values) {
        sqlite3_reset(statement_.get());
        int index = 0;
        (bind_one(++index, values), ...);
    }

    // The next row is there (SQLITE_ROW), there is none (SQLITE_DONE), or an error.
    [[nodiscard]] int step() { return sqlite3_step(statement_.get()); }

    [[nodiscard]] std::string text(int column) const {
        const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
        return bytes == nullptr ? "" : std::string(bytes, sqlite3_column_bytes(statement_.get(), column));
    }
    [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
    [[nodiscard]] WallTime time(int column) const { return WallTime(std::chrono::seconds(integer(column))); }
    [[nodiscard]] std::optional<WallTime> optional_time(int column) const {
        if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL)
            return {};
        return time(column);
    }

private:
    // The bytes outlive the step that uses them, so SQLite need not copy them.
    void bind_one(int index, std::string_view value) {
        sqlite3_bind_text(statement_.get(), index, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    }
    void bind_one(int index, std::int64_t value) { sqlite3_bind_int64(statement_.get(), index, value); }
    void bind_one(int index, WallTime value) { bind_one(index, to_seconds(value)); }
    void bind_one(int index, const std::optional<WallTime>& value) {
        if (value)
            bind_one(index, *value);
        else
            sqlite3_bind_null(statement_.get(), index);
    }

    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace

class Store::Database {
public:
    [[nodiscard]] static Result<std::unique_ptr<Database>> open(const std::string& path) {
        TRY(make_private(path));
        sqlite3* handle = nullptr;
        const int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, nullptr);
        std::unique_ptr<Database> database(new Database(handle, path));
        if (code != SQLITE_OK)
            return database->error();
        // SQLite is content with reading where it may not write, or has no descriptor left, and says nothing of it here.
        if (sqlite3_db_readonly(handle, "main") == 1)
            return fail(Errc::Io, path + ": open: it could be opened for reading only");
        return database;
    }

    [[nodiscard]] std::unexpected<Error> error() const {
        const int code = sqlite3_extended_errcode(handle_.get());
        std::string what = path_ + ": " + sqlite3_errmsg(handle_.get());
        if (const std::string_view call = call_of(code); !call.empty())
            what.append(": ").append(call);
        const int os_errno = sqlite3_system_errno(handle_.get());
        if (os_errno != 0)
            what += ": " + errno_text(os_errno);
        constexpr std::string_view kAdvice =
            "restore it from a backup, or move it away to start with new uids and keys";
        // SQLite calls a database corrupt, too, of which the disk did not give back a page.
        if ((code & 0xff) == SQLITE_CORRUPT)
            what.append("; if the next start says the same and the disk is sound, ").append(kAdvice);
        else if (code == SQLITE_NOTADB)
            what.append("; ").append(kAdvice);
        return std::unexpected(Error{Errc::Io, std::move(what), os_errno});
    }

    [[nodiscard]] Result<> execute(const char* sql) {
        if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
            return error();
        return {};
    }

    [[nodiscard]] Result<Statement> prepare(std::string_view sql) {
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
            SQLITE_OK)
            return error();
        return Statement(statement);
    }

    // Calls row(statement) for each row of a query.
    template <class Row>
    [[nodiscard]] Result<> query(std::string_view sql, Row&& row) {
        Statement statement = TRY(prepare(sql));
        int code = statement.step();
        for (; code == SQLITE_ROW; code = statement.step())
            row(statement);
        if (code != SQLITE_DONE)
            return error();
        return {};
    }

    [[nodiscard]] Result<> run(Statement& statement) {
        if (statement.step() != SQLITE_DONE)
            return error();
        return {};
    }

    // All of what write() does, or nothing of it.
    template <class Write>
    [[nodiscard]] Result<> transaction(Write&& write) {
        TRY(execute("BEGIN IMMEDIATE"));
        Result<> done = write();
        if (done)
            done = execute("COMMIT");
        // SQLite has already gone back by itself after some errors (a full disk is one).
        if (!done && sqlite3_get_autocommit(handle_.get()) == 0)
            (void)execute("ROLLBACK");
        return done;
    }

    [[nodiscard]] Result<> prepare_schema() {
        TRY(execute("PRAGMA journal_mode=WAL"));
        TRY(execute("PRAGMA synchronous=FULL; PRAGMA cache_size=-512; PRAGMA busy_timeout=1000"));
        std::int64_t version = 0;
        TRY(query("PRAGMA user_version", [&](Statement& row) { version = row.integer(0); }));
        if (version > kSchemaVersion)
            return fail(Errc::Invalid, path_ + ": schema version " + std::to_string(version) +
                                           ", this tokenlet knows " + std::to_string(kSchemaVersion) +
                                           "; run the newer one, or restore an older database");
        if (version == 0)
            TRY(transaction([&] { return execute(kSchema); }));
        return {};
    }

private:
    Database(sqlite3* handle, const std::string& path) : handle_(handle), path_(path) {}

    // SQLite would make it readable by everybody; its side files take over this mode.
    [[nodiscard]] static Result<> make_private(const std::string& path) {
        const UniqueFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600)};
        struct stat status{};
        if (!file || ::fstat(file.get(), &status) < 0)
            return errno == ELOOP ? fail(Errc::Invalid, path + " is a symbolic link; put the file itself there")
                                  : fail_errno(errno, "open", path);
        if (!S_ISREG(status.st_mode))
            return fail(Errc::Invalid, path + " is no regular file");
        if (::fchmod(file.get(), 0600) < 0)
            return fail_errno(errno, "chmod", path);
        return {};
    }

    std::unique_ptr<sqlite3, Close> handle_;
    std::string path_;
};

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const std::string& path) {
    std::unique_ptr<Database> database = TRY(Database::open(path));
    TRY(database->prepare_schema());
    return Store(std::move(database));
}

Result<Registry> Store::load_registry() {
    std::vector<ServiceAccountRecord> accounts;
    TRY(database_->query("SELECT namespace, name, uid, declared FROM service_accounts", [&](Statement& row) {
        accounts.push_back({.key = {row.text(0), row.text(1)},
                            .uid = row.text(2),
                            .origin = row.integer(3) != 0 ? ServiceAccountRecord::Origin::Declared
                                                          : ServiceAccountRecord::Origin::Implied});
    }));
    std::vector<PodRecord> pods;
    TRY(database_->query("SELECT namespace, name, uid, service_account, node_name, deletion_timestamp FROM pods",
                         [&](Statement& row) {
                             pods.push_back({.key = {row.text(0), row.text(1)},
                                             .uid = row.text(2),
                                             .service_account = row.text(3),
                                             .node_name = row.text(4),
                                             .deletion_timestamp = row.optional_time(5)});
                         }));
    std::vector<NodeRecord> nodes;
    TRY(database_->query("SELECT name, uid FROM nodes",
                         [&](Statement& row) { nodes.push_back({.name = row.text(0), .uid = row.text(1)}); }));
    return Registry(std::move(accounts), std::move(pods), std::move(nodes));
}

Result<> Store::save(const RegistryChanges& changes) {
    Statement put_account = TRY(database_->prepare("REPLACE INTO service_accounts VALUES(?, ?, ?, ?)"));
    Statement remove_account = TRY(database_->prepare("DELETE FROM service_accounts WHERE namespace = ? AND name = ?"));
    Statement put_pod = TRY(database_->prepare("REPLACE INTO pods VALUES(?, ?, ?, ?, ?, ?)"));
    Statement remove_pod = TRY(database_->prepare("DELETE FROM pods WHERE namespace = ? AND name = ?"));
    Statement put_node = TRY(database_->prepare("REPLACE INTO nodes VALUES(?, ?)"));
    return database_->transaction([&]() -> Result<> {
        for (const ServiceAccountRecord& account : changes.accounts) {
            const std::int64_t declared = account.origin == ServiceAccountRecord::Origin::Declared ? 1 : 0;
            put_account.bind(account.key.ns, account.key.name, account.uid, declared);
            TRY(database_->run(put_account));
        }
        for (const kube::ObjectKey& key : changes.removed_accounts) {
            remove_account.bind(key.ns, key.name);
            TRY(database_->run(remove_account));
        }
        for (const PodRecord& pod : changes.pods) {
            put_pod.bind(pod.key.ns, pod.key.name, pod.uid, pod.service_account, pod.node_name, pod.deletion_timestamp);
            TRY(database_->run(put_pod));
        }
        for (const kube::ObjectKey& key : changes.removed_pods) {
            remove_pod.bind(key.ns, key.name);
            TRY(database_->run(remove_pod));
        }
        for (const NodeRecord& node : changes.nodes) {
            put_node.bind(node.name, node.uid);
            TRY(database_->run(put_node));
        }
        return {};
    });
}

Result<std::vector<KeyRecord>> Store::load_keys() {
    std::vector<KeyRecord> keys;
    Result<> readable;
    TRY(database_->query("SELECT kid, algorithm, jwk, published_at, signing_since, retired_at, signed_until FROM keys",
                         [&](Statement& row) {
                             const std::optional<Algorithm> algorithm = algorithm_named(row.text(1));
                             if (!algorithm)
                                 readable = fail(Errc::Invalid, "key " + row.text(0) + ": unknown algorithm");
                             keys.push_back({.kid = row.text(0),
                                             .algorithm = algorithm.value_or(Algorithm::Es256),
                                             .jwk = row.text(2),
                                             .published_at = row.time(3),
                                             .signing_since = row.optional_time(4),
                                             .retired_at = row.optional_time(5),
                                             .signed_until = row.optional_time(6)});
                         }));
    TRY(std::move(readable));
    return keys;
}

Result<> Store::save_keys(std::span<const KeyRecord> keys) {
    Statement put = TRY(database_->prepare("INSERT INTO keys VALUES(?, ?, ?, ?, ?, ?, ?)"));
    return database_->transaction([&]() -> Result<> {
        TRY(database_->execute("DELETE FROM keys"));
        for (const KeyRecord& key : keys) {
            put.bind(key.kid, to_string(key.algorithm), key.jwk, key.published_at, key.signing_since, key.retired_at,
                     key.signed_until);
            TRY(database_->run(put));
        }
        return {};
    });
}

}  // namespace tokenlet::authority
