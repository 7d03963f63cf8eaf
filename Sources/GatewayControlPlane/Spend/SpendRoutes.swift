import GatewayAdmission
import GatewayCore
import GatewayLedger

/// What has been spent: usage rows and sums. Rows are those of the store; the newest may be a tick away.
struct SpendRoutes: ControlRoom {
    /// Rows that paging reaches; older ones by narrower dates.
    private static let rowsMax = 10_000
    /// Rows that one summary may read.
    private static let summaryRowsMax = 1_000_000
    private static let keysMax = 10_000
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        [
            ControlRoute("GET", "/spend/logs", .anyKey, self.logs),
            ControlRoute("GET", "/global/spend", .admin, self.total),
            ControlRoute("GET", "/spend/keys", .admin, self.keys),
            ControlRoute("GET", "/global/spend/keys", .admin, self.keySums),
        ]
    }

    private func logs(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let caller = call.caller else { throw .keyNotFound }
        var query = UsageQuery(newestFirst: true, limit: Self.rowsMax)
        query.digest = call.query["api_key"].map { KeySecret.digest(named: $0) }
        if !call.isAdmin {
            guard query.digest == nil || query.digest == caller.record.digest else {
                throw .forbidden("A virtual key may only ask for its own /spend/logs.", param: "api_key")
            }
            query.digest = caller.record.digest
        }
        query.userID = call.query["user_id"]
        query.startedFrom = try Self.day("start_date", call.query)
        query.startedBefore = try Self.day("end_date", call.query)?.advanced(bySeconds: 86_400)
        if let text = call.query["request_id"] {
            guard let requestID = RequestID(text: text) else { return ControlReply.json(.array([])) }
            query.requestID = requestID
        }
        let page = try call.query.integer("page", in: 1...Self.rowsMax, standard: 1)
        let size = try call.query.integer("page_size", in: 1...Self.rowsMax, standard: Self.rowsMax)
        let isSummary = try call.query.flag("summarize", standard: true)
        if isSummary, query.startedFrom != nil, query.startedBefore != nil, query.requestID == nil {
            return ControlReply.json(try await self.summary(query))
        }
        guard page * size <= Self.rowsMax else {
            throw .badRequest(
                "/spend/logs pages through the \(Self.rowsMax) newest rows. Ask for older ones by start_date and "
                    + "end_date.", param: "page")
        }
        query.limit = page * size
        let rows = try await self.usage(query).dropFirst((page - 1) * size)
        return ControlReply.json(.array(rows.map { SpendLogRendering.row($0.event) }))
    }

    private func summary(_ query: UsageQuery) async throws(ControlRefusal) -> JSONValue {
        var query = query
        query.newestFirst = false
        query.limit = Self.rowsMax
        var summary = SpendSummary()
        var count = 0
        while true {
            let rows = try await self.usage(query)
            for row in rows { summary.add(row.event) }
            count += rows.count
            guard let last = rows.last, rows.count == query.limit else { return summary.value }
            guard count < Self.summaryRowsMax else {
                throw .badRequest(
                    "More than \(Self.summaryRowsMax) rows are in this range. Choose a shorter one.",
                    param: "start_date")
            }
            query.after = (last.streamID, last.sequence)
        }
    }

    private func usage(_ query: UsageQuery) async throws(ControlRefusal) -> [UsageRow] {
        do throws(LedgerError) { return try await self.dependencies.ledger.usage(query) } catch { throw .store(error) }
    }

    private func total(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        do throws(LedgerError) {
            let spend = try await self.dependencies.ledger.counter(.total).spend
            return ControlReply.object([JSONMember("spend", .money(spend)), JSONMember("max_budget", .null)])
        } catch { throw .store(error) }
    }

    private func keys(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let found = try await self.highestSpenders(call)
        return ControlReply.json(.array(found.map { .object(KeyRendering.info($0.record, spend: $0.spend)) }))
    }

    private func keySums(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let found = try await self.highestSpenders(call)
        return ControlReply.json(
            .array(
                found.map { record, spend in
                    .object([
                        JSONMember("api_key", .string(record.digest.hex)),
                        JSONMember("key_alias", .optional(record.alias)),
                        JSONMember("key_name", .string(record.keyName)), JSONMember("total_spend", .money(spend)),
                    ])
                }))
    }

    /// Keys by spend, highest first; those that spent nothing follow, newest first, as far as the limit has room.
    private func highestSpenders(_ call: ControlCall) async throws(ControlRefusal) -> [(
        record: KeyRecord, spend: NanoUSD
    )] {
        let limit = try call.query.integer("limit", in: 1...Self.keysMax, standard: 1000)
        do throws(LedgerError) {
            let directory = self.dependencies.keys.directory
            var found: [VirtualKeyID: (record: KeyRecord, spend: NanoUSD)] = [:]
            for keyID in try await self.dependencies.ledger.keySpend().keys where keyID != .masterKey {
                guard let entry = directory.entry(id: keyID) else { continue }
                found[keyID] = (entry.record, entry.spend.spend)
            }
            // Spend that is not folded yet belongs to keys that are in force, so paging adds those too.
            var offset = 0
            var spentNothing: [(record: KeyRecord, spend: NanoUSD)] = []
            while offset < Self.keysMax {
                let page = try await self.dependencies.keyStore.keys(
                    KeyQuery(userID: nil, teamID: nil, alias: nil, digest: nil, offset: offset, limit: 1000))
                for record in page.records where found[record.keyID] == nil {
                    let spend = directory.entry(id: record.keyID)?.spend.spend ?? .zero
                    if spend == .zero {
                        spentNothing.append((record, spend))
                    } else {
                        found[record.keyID] = (record, spend)
                    }
                }
                offset += page.records.count
                if page.records.count < 1000 { break }
            }
            let spenders = found.values.sorted { a, b in
                a.spend != b.spend ? a.spend > b.spend : a.record.createdAt > b.record.createdAt
            }
            return Array((spenders + spentNothing).prefix(limit))
        } catch { throw .store(error) }
    }

    /// Start of a day (UTC) from `YYYY-MM-DD`. `nil`: not given.
    private static func day(_ name: String, _ query: QueryItems) throws(ControlRefusal) -> UnixMicroseconds? {
        guard let text = query[name] else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.map(\.utf8.count) == [4, 2, 2],
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }), let year = Int64(parts[0]),
            let month = Int64(parts[1]), let date = Int64(parts[2]), (1...12).contains(month), (1...31).contains(date)
        else { throw .badRequest("\(name) should be a day such as 2026-11-22.", param: name) }
        let number = dayNumber(year: year, month: month, date: date)
        guard civilDate(day: number) == (year, month, date) else {
            throw .badRequest("\(name) is not a day of the calendar.", param: name)
        }
        return UnixMicroseconds(rawValue: number * 86_400_000_000)
    }
}
