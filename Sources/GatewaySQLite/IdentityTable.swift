import GRDB
import GatewayCore

/// Row numbers of the payers and routes seen last, by object: calls share the object as long as a key or deployment
/// stands, so strings are compared only at first sight. Holds the objects, so that an address is never reused.
/// Rows of `payer` and `route` are never deleted, hence a number once committed stays right.
struct IdentityTable {
    private var payers: [ObjectIdentifier: (object: PayerIdentity, id: Int64)] = [:]
    private var routes: [ObjectIdentifier: (object: RouteIdentity, id: Int64)] = [:]
    private var lastPayer: (object: PayerIdentity, id: Int64)?
    private var lastRoute: (object: RouteIdentity, id: Int64)?

    /// When so many are known, all are forgotten and looked up anew: about 4 MiB at most.
    static let entriesMax = 32_768

    mutating func removeAll() {
        self.payers.removeAll()
        self.routes.removeAll()
        self.lastPayer = nil
        self.lastRoute = nil
    }

    @inline(__always)
    mutating func id(of payer: PayerIdentity, in database: Database) throws -> Int64 {
        if let last = self.lastPayer, last.object === payer { return last.id }
        let entry = try self.payers[ObjectIdentifier(payer)] ?? self.insert(payer, in: database)
        self.lastPayer = entry
        return entry.id
    }

    @inline(__always)
    mutating func id(of route: RouteIdentity, in database: Database) throws -> Int64 {
        if let last = self.lastRoute, last.object === route { return last.id }
        let entry = try self.routes[ObjectIdentifier(route)] ?? self.insert(route, in: database)
        self.lastRoute = entry
        return entry.id
    }

    @inline(never)
    private mutating func insert(
        _ payer: PayerIdentity, in database: Database
    ) throws -> (object: PayerIdentity, id: Int64) {
        if self.payers.count >= Self.entriesMax { self.payers.removeAll(keepingCapacity: true) }
        let values: [SQLValue] = [
            .blob(payer.keyID.bits.bytes), .blob(payer.digest.bytes), .optional(payer.userID),
            .optional(payer.teamID),
        ]
        let id = try Self.findOrInsert(
            database, values,
            find: """
                SELECT id FROM payer WHERE key_id = ?1 AND digest = ?2
                AND ifnull('=' || user_id, '') = ifnull('=' || ?3, '')
                AND ifnull('=' || team_id, '') = ifnull('=' || ?4, '')
                """,
            insert: "INSERT INTO payer (key_id, digest, user_id, team_id) VALUES (?1, ?2, ?3, ?4)")
        self.payers[ObjectIdentifier(payer)] = (payer, id)
        return (payer, id)
    }

    @inline(never)
    private mutating func insert(
        _ route: RouteIdentity, in database: Database
    ) throws -> (object: RouteIdentity, id: Int64) {
        if self.routes.count >= Self.entriesMax { self.routes.removeAll(keepingCapacity: true) }
        let values: [SQLValue] = [
            .text(route.modelGroup), .text(route.model), .text(route.provider), .text(route.deploymentID),
            .text(route.priceVersion),
        ]
        let id = try Self.findOrInsert(
            database, values,
            find: """
                SELECT id FROM route WHERE model_group = ?1 AND model = ?2 AND provider = ?3 AND deployment_id = ?4
                AND price_version = ?5
                """,
            insert: """
                INSERT INTO route (model_group, model, provider, deployment_id, price_version)
                VALUES (?1, ?2, ?3, ?4, ?5)
                """)
        self.routes[ObjectIdentifier(route)] = (route, id)
        return (route, id)
    }

    private static func findOrInsert(
        _ database: Database, _ values: [SQLValue], find: String, insert: String
    ) throws -> Int64 {
        if let id = try SQLStatement.all(database, find, values, read: { $0.integer(0) }).first { return id }
        let statement = try SQLStatement(database, insert)
        try statement.bindAll(values)
        try statement.finish()
        return database.lastInsertedRowID
    }
}

extension UUIDBits {
    /// The 16 bytes in network order.
    var bytes: [UInt8] {
        [self.high, self.low].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - $0 * 8)) }
        }
    }

    /// - Returns: `nil` unless there are 16.
    init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        let word = { (range: Range<Int>) in bytes[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        self.init(high: word(0..<8), low: word(8..<16))
    }
}
