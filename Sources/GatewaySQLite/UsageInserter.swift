import GRDB
import GRDBSQLite
import GatewayCore
import GatewayLedger

/// Writes a batch of usage rows: many rows per statement, bound straight to SQLite. Measured, CPU per row of a batch of
/// 5,000: one row per statement 1.5 us, 50 rows per statement 1.0 us; the rest is starting and ending statements.
struct UsageInserter {
    private let database: Database
    private(set) var summary = UsageSummary()
    private var details: [(id: Int64, usage: TokenUsage)] = []

    /// Rows per statement, largest first; the last is 1, so that every count can be made up.
    private static let groupSizes = [64, 8, 1]
    private static let columns: Int32 = 15
    private static let statements: [Int: String] = Dictionary(
        uniqueKeysWithValues: Self.groupSizes.map { size in
            let row = "(" + [String](repeating: "?", count: Int(Self.columns)).joined(separator: ",") + ")"
            // FAIL, not ABORT: the caller rolls the transaction back, so no statement journal is needed.
            let text =
                "INSERT OR FAIL INTO usage (id, request_high, request_low, started_at, payer_id, route_id, duration, "
                + "first_byte, bits, input, cached_input, output, reasoning_output, cost, end_user) VALUES "
            return (size, text + [String](repeating: row, count: size).joined(separator: ","))
        })

    init(_ database: Database) { self.database = database }

    /// Stores `events` at `first` and the places after it, and sums them up.
    mutating func insert(_ events: [UsageEvent], at first: Place, identities: inout IdentityTable) throws {
        var index = 0
        for size in Self.groupSizes {
            guard events.count - index >= size, let text = Self.statements[size] else { continue }
            let statement = try SQLStatement(self.database, text)
            while events.count - index >= size {
                var parameter: Int32 = 0
                for offset in index..<(index + size) {
                    try self.bind(
                        events[offset], id: first.id + Int64(offset), to: statement, after: parameter,
                        identities: &identities)
                    parameter += Self.columns
                }
                try statement.finish()
                index += size
            }
        }
        try self.insertDetails()
    }

    @inline(__always)
    private mutating func bind(
        _ event: borrowing UsageEvent, id: Int64, to statement: SQLStatement, after parameter: Int32,
        identities: inout IdentityTable
    ) throws {
        let payer = try identities.id(of: event.payer, in: self.database)
        let route = try identities.id(of: event.route, in: self.database)
        let handle = statement.handle
        sqlite3_bind_int64(handle, parameter + 1, id)
        sqlite3_bind_int64(handle, parameter + 2, Int64(bitPattern: event.requestID.bits.high))
        sqlite3_bind_int64(handle, parameter + 3, Int64(bitPattern: event.requestID.bits.low))
        sqlite3_bind_int64(handle, parameter + 4, event.startedAt.rawValue)
        sqlite3_bind_int64(handle, parameter + 5, payer)
        sqlite3_bind_int64(handle, parameter + 6, route)
        sqlite3_bind_int64(handle, parameter + 7, event.durationMicroseconds)
        sqlite3_bind_int64(handle, parameter + 8, event.firstByteMicroseconds)
        sqlite3_bind_int64(handle, parameter + 9, UsageBits(event).rawValue)
        sqlite3_bind_int64(handle, parameter + 10, event.usage.input)
        sqlite3_bind_int64(handle, parameter + 11, event.usage.cachedInput)
        sqlite3_bind_int64(handle, parameter + 12, event.usage.output)
        sqlite3_bind_int64(handle, parameter + 13, event.usage.reasoningOutput)
        // A code of the calls above would be one of misuse only: numbers and NULL take no memory, and the places are
        // those of the text.
        sqlite3_bind_int64(handle, parameter + 14, event.cost.rawValue)
        let code = statement.bind(event.endUser, at: parameter + 15)
        guard code == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
        if event.usage.hasDetail { self.details.append((id, event.usage)) }
        self.summary.add(
            startedAt: event.startedAt.rawValue, payer: payer, route: route, cost: event.cost.rawValue,
            input: event.usage.input, cached: event.usage.cachedInput, output: event.usage.output,
            reasoning: event.usage.reasoningOutput, isError: event.flags.contains(.error))
    }

    /// The token kinds that most rows have none of stand in a table beside.
    private mutating func insertDetails() throws {
        if self.details.isEmpty { return }
        let statement = try SQLStatement(
            self.database,
            """
            INSERT INTO usage_detail (id, cache_write_input, cache_write_long_input, audio_input, image_input,
            audio_output, image_output) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """)
        for (id, usage) in self.details {
            let values = [
                id, usage.cacheWriteInput, usage.cacheWriteLongInput, usage.audioInput, usage.imageInput,
                usage.audioOutput, usage.imageOutput,
            ]
            for (index, value) in values.enumerated() {
                sqlite3_bind_int64(statement.handle, Int32(index + 1), value)
            }
            try statement.finish()
        }
        self.details.removeAll(keepingCapacity: true)
    }
}

extension TokenUsage {
    /// Whether any kind occurs that `usage_detail` keeps.
    @inline(__always)
    var hasDetail: Bool {
        (self.cacheWriteInput | self.cacheWriteLongInput | self.audioInput | self.imageInput | self.audioOutput
            | self.imageOutput) != 0
    }
}
