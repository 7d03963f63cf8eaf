import GRDB
import GRDBSQLite

/// A prepared statement of one connection, bound and read without GRDB's row layer: the layer costs more than the
/// insert itself, and it ends text at the first NUL, where a caller's alias or user may well have one.
/// Lives inside one database access; never kept beyond it.
struct SQLStatement {
    /// Holds the handle alive.
    private let statement: Statement
    let handle: OpaquePointer

    /// Takes the statement from the connection's cache, compiling it at first use.
    /// - Throws: `DatabaseError`, as everything here.
    init(_ database: Database, _ sql: String) throws {
        self.statement = try database.cachedStatement(sql: sql)
        self.handle = self.statement.sqliteStatement
        self.reset()
    }

    /// Runs a statement that returns no rows.
    static func run(_ database: Database, _ sql: String, _ values: SQLValue...) throws {
        let statement = try SQLStatement(database, sql)
        try statement.bindAll(values)
        try statement.finish()
    }

    /// The first row, as `read` sees it. `nil`: no row.
    static func first<T>(
        _ database: Database, _ sql: String, _ values: SQLValue..., read: (SQLStatement) throws -> T
    ) throws -> T? {
        let statement = try SQLStatement(database, sql)
        try statement.bindAll(values)
        defer { statement.reset() }
        return try statement.step() ? try read(statement) : nil
    }

    /// Every row in order. The caller's SQL bounds their number.
    static func all<T>(
        _ database: Database, _ sql: String, _ values: [SQLValue], read: (SQLStatement) throws -> T
    ) throws -> [T] {
        let statement = try SQLStatement(database, sql)
        try statement.bindAll(values)
        defer { statement.reset() }
        var rows: [T] = []
        while try statement.step() { rows.append(try read(statement)) }
        return rows
    }

    /// `true`: a row is ready; `false`: done.
    func step() throws -> Bool {
        switch sqlite3_step(self.handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw self.failure(code)
        }
    }

    /// Steps to the end and makes the statement ready for its next binding.
    func finish() throws {
        let code = sqlite3_step(self.handle)
        guard code == SQLITE_DONE || code == SQLITE_ROW else { throw self.failure(code) }
        sqlite3_reset(self.handle)
    }

    func reset() { sqlite3_reset(self.handle) }

    /// SQLite's own words name tables and columns, never values.
    private func failure(_ code: Int32) -> DatabaseError {
        let connection = sqlite3_db_handle(self.handle)
        let extended = connection.map { sqlite3_extended_errcode($0) } ?? code
        let message = connection.flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) }
        sqlite3_reset(self.handle)
        return DatabaseError(resultCode: ResultCode(rawValue: extended), message: message)
    }
}

/// What a parameter can be.
enum SQLValue {
    case integer(Int64)
    case text(String)
    case blob([UInt8])
    case null

    static func optional(_ text: String?) -> SQLValue { text.map { .text($0) } ?? .null }
    static func optional(_ integer: Int64?) -> SQLValue { integer.map { .integer($0) } ?? .null }
}

extension SQLStatement {
    /// SQLite copies the bytes.
    private static var transient: sqlite3_destructor_type {
        unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    }

    func bindAll(_ values: [SQLValue]) throws {
        for (index, value) in values.enumerated() {
            let code: Int32 =
                switch value {
                case .integer(let integer): sqlite3_bind_int64(self.handle, Int32(index + 1), integer)
                case .text(let text): self.bind(text, at: Int32(index + 1))
                case .blob(let bytes): self.bind(bytes, at: Int32(index + 1))
                case .null: sqlite3_bind_null(self.handle, Int32(index + 1))
                }
            guard code == SQLITE_OK else { throw self.failure(code) }
        }
    }

    /// Binds by length: a NUL is a character like any other. `nil`: NULL.
    @discardableResult
    func bind(_ text: String?, at index: Int32) -> Int32 {
        guard var text else { return sqlite3_bind_null(self.handle, index) }
        return text.withUTF8 { bytes in
            // A nil pointer would bind NULL, which the empty text is not.
            guard let start = bytes.baseAddress else {
                return sqlite3_bind_text(self.handle, index, "", 0, Self.transient)
            }
            return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                sqlite3_bind_text(self.handle, index, $0, Int32(clamping: bytes.count), Self.transient)
            }
        }
    }

    private func bind(_ bytes: [UInt8], at index: Int32) -> Int32 {
        bytes.isEmpty
            ? sqlite3_bind_zeroblob(self.handle, index, 0)
            : sqlite3_bind_blob(self.handle, index, bytes, Int32(clamping: bytes.count), Self.transient)
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(self.handle, column) }

    func optionalInteger(_ column: Int32) -> Int64? {
        sqlite3_column_type(self.handle, column) == SQLITE_NULL ? nil : self.integer(column)
    }

    /// `nil`: NULL.
    func optionalText(_ column: Int32) -> String? {
        guard sqlite3_column_type(self.handle, column) != SQLITE_NULL else { return nil }
        return self.text(column)
    }

    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(self.handle, column) else { return "" }
        let count = Int(sqlite3_column_bytes(self.handle, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(self.handle, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(self.handle, column))))
    }
}
