import GRDB
import GatewayCore
import GatewayLedger

/// Brings a file to the newest schema. Migrations are numbered by their place in the list, only ever appended, and each
/// commits together with its number, so a crash or a second opener in between repeats nothing.
struct Migrator {
    let path: String

    private static let migrations = [
        Schema.version1, Schema.version2, Schema.version4, Schema.version5, Schema.version6,
        Schema.version7, Schema.version8, Schema.version9,
    ]

    /// The version this program writes and reads.
    static var newestVersion: Int64 { Int64(Self.migrations.count) }

    /// Marks the file as Martlet's for `file(1)` and for us: "mLgr".
    static let applicationID: Int64 = 0x6D4C_6772

    /// - Throws: `DatabaseError`, and `LedgerError` when the file is foreign or newer than this program.
    func migrate(_ database: Database, at time: UnixMicroseconds) throws {
        while true {
            var isDone = false
            try database.inTransaction(.immediate) {
                let version = try self.version(database)
                isDone = version == Self.newestVersion
                if isDone { return .rollback }
                for text in Self.migrations[Int(version)] { try database.execute(sql: text) }
                try database.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
                try database.execute(sql: "PRAGMA user_version = \(version + 1)")
                try SQLStatement.run(
                    database, "INSERT INTO migration (version, applied_at) VALUES (?1, ?2)", .integer(version + 1),
                    .integer(time.rawValue))
                return .commit
            }
            if isDone { return }
        }
    }

    /// Refuses a foreign or newer file.
    func validate(_ database: Database) throws { _ = try self.version(database) }

    /// Checks a file that may not be changed.
    func check(_ database: Database) throws {
        let version = try self.version(database)
        if version < Self.newestVersion {
            throw LedgerError.conflict(
                "The ledger \(self.path) has schema \(version), this program reads \(Self.newestVersion): "
                    + "start `martlet serve` on it once, then repeat.")
        }
    }

    /// The file's schema version, 0...`newestVersion`; 0: empty.
    private func version(_ database: Database) throws -> Int64 {
        let read = { (sql: String) in try SQLStatement.first(database, sql) { $0.integer(0) } ?? 0 }
        let version = try read("PRAGMA user_version")
        let applicationID = try read("PRAGMA application_id")
        let isEmpty = try read("SELECT count(*) FROM sqlite_schema") == 0
        guard applicationID == Self.applicationID || isEmpty && version == 0 else {
            throw LedgerError.corrupt(
                "The file \(self.path) is a SQLite database, but not Martlet's ledger: move it away or name another.")
        }
        guard (0...Self.newestVersion).contains(version) else {
            throw LedgerError.conflict(
                "The ledger \(self.path) was made by a newer Martlet (schema \(version), this one knows "
                    + "\(Self.newestVersion)): upgrade this program, or restore a backup.")
        }
        return version
    }
}
