import GRDB
import GatewayCore

/// The range of start times and request identifiers in each block of 4,096 places: a coarse index, some 40 bytes a
/// block instead of 20 bytes and a microsecond a row. Rows come nearly in the order of both (request identifiers are
/// time-ordered), so a search reads a few blocks; it stays exact when they do not, because the ranges just grow.
struct UsageBlocks {
    private var block: Int64 = -1
    private var started: ClosedRange<Int64> = 0...0
    private var request: ClosedRange<Int64> = 0...0

    init() {}

    /// Widens the blocks that hold `events`, the first of which stands at `first`.
    static func widen(_ database: Database, by events: [UsageEvent], at first: Place) throws {
        var blocks = UsageBlocks()
        for (offset, event) in events.enumerated() {
            try blocks.add(
                Place(id: first.id + Int64(offset)), startedAt: event.startedAt.rawValue,
                requestHigh: Int64(bitPattern: event.requestID.bits.high), in: database)
        }
        try blocks.flush(to: database)
    }

    /// Adds one row; rows come in the order of their places.
    @inline(__always)
    mutating func add(_ place: Place, startedAt: Int64, requestHigh: Int64, in database: Database) throws {
        if place.block != self.block {
            try self.flush(to: database)
            self.block = place.block
            self.started = startedAt...startedAt
            self.request = requestHigh...requestHigh
            return
        }
        if !self.started.contains(startedAt) {
            self.started = min(self.started.lowerBound, startedAt)...max(self.started.upperBound, startedAt)
        }
        if !self.request.contains(requestHigh) {
            self.request = min(self.request.lowerBound, requestHigh)...max(self.request.upperBound, requestHigh)
        }
    }

    mutating func flush(to database: Database) throws {
        guard self.block >= 0 else { return }
        try SQLStatement.run(
            database,
            """
            INSERT INTO usage_block (block, started_min, started_max, request_min, request_max)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (block) DO UPDATE SET
                started_min = min(started_min, excluded.started_min),
                started_max = max(started_max, excluded.started_max),
                request_min = min(request_min, excluded.request_min),
                request_max = max(request_max, excluded.request_max)
            """,
            .integer(self.block), .integer(self.started.lowerBound), .integer(self.started.upperBound),
            .integer(self.request.lowerBound), .integer(self.request.upperBound))
        self.block = -1
    }
}
