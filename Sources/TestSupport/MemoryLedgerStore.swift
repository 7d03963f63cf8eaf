import GatewayCore
import GatewayLedger

/// The ledger's store in memory: the reference that the stores on databases are compared with, and what the
/// shipper's tests ship to.
package actor MemoryLedgerStore: LedgerStore {
    private struct Stream {
        var journal: JournalID
        var epoch: Int64
        var events: [UsageEvent]
        var folded = 0
    }

    /// Stream numbers are places in this list, from 1.
    private var streams: [Stream] = []
    private var counters: [CounterDimension: UsageCounter] = [:]

    package init() {}

    /// All events of a journal, in the order of their sequence numbers.
    package func events(of journal: JournalID) -> [UsageEvent] {
        self.streams.first { $0.journal == journal }?.events ?? []
    }

    package func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        let index: Int
        if let known = self.streams.firstIndex(where: { $0.journal == journal }) {
            index = known
        } else {
            index = self.streams.count
            self.streams.append(Stream(journal: journal, epoch: 0, events: []))
        }
        self.streams[index].epoch += 1
        return StreamPosition(
            journal: journal, streamID: Int64(index + 1), epoch: self.streams[index].epoch,
            applied: Int64(self.streams[index].events.count))
    }

    package func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        guard let index = self.streams.firstIndex(where: { $0.journal == journal }) else { return nil }
        return StreamStanding(
            streamID: Int64(index + 1), applied: Int64(self.streams[index].events.count), expired: 0)
    }

    package func append(
        _ events: [UsageEvent], at position: StreamPosition
    ) async throws(LedgerError) -> AppendOutcome {
        let index = Int(position.streamID - 1)
        guard self.streams.indices.contains(index) else { throw .notFound("no stream \(position.streamID)") }
        let applied = Int64(self.streams[index].events.count)
        guard position.epoch == self.streams[index].epoch, position.applied == applied else {
            return .rejected(epoch: self.streams[index].epoch, applied: applied)
        }
        self.streams[index].events += events
        return .applied(applied + Int64(events.count))
    }

    package func fold() async throws(LedgerError) -> Int {
        var rows = 0
        for index in self.streams.indices {
            for event in self.streams[index].events[self.streams[index].folded...] {
                Self.count(event, into: &self.counters)
                rows += 1
            }
            self.streams[index].folded = self.streams[index].events.count
        }
        return rows
    }

    package func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] {
        var spend: [VirtualKeyID: NanoUSD] = [:]
        for (dimension, counter) in self.counters {
            if case .key(let keyID) = dimension { spend[keyID] = counter.spend }
        }
        return spend
    }

    package func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        self.counters[dimension] ?? .zero
    }

    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        var rows: [UsageRow] = []
        for (index, stream) in self.streams.enumerated() {
            for (place, event) in stream.events.enumerated() {
                rows.append(UsageRow(streamID: Int64(index + 1), sequence: Int64(place + 1), event: event))
            }
        }
        if query.newestFirst { rows.reverse() }
        let matching = rows.lazy.filter { row in
            (query.digest == nil || row.event.payer.digest == query.digest)
                && (query.requestID == nil || row.event.requestID == query.requestID)
                && (query.userID == nil || row.event.payer.userID == query.userID)
                && query.startedFrom.map { row.event.startedAt >= $0 } ?? true
                && query.startedBefore.map { row.event.startedAt < $0 } ?? true
                && query.after.map { self.isAfter(row, $0, newestFirst: query.newestFirst) } ?? true
        }
        return Array(matching.prefix(query.limit))
    }

    package func rebuildCounters() async throws(LedgerError) {
        self.counters = self.recounted()
        for index in self.streams.indices { self.streams[index].folded = self.streams[index].events.count }
    }

    package func verify() async throws(LedgerError) -> [String] {
        self.counters == self.recounted() ? [] : ["the counters differ from the sums of the rows"]
    }

    private nonisolated func isAfter(
        _ row: UsageRow, _ place: (streamID: Int64, sequence: Int64), newestFirst: Bool
    ) -> Bool {
        newestFirst
            ? (row.streamID, row.sequence) < place : (row.streamID, row.sequence) > place
    }

    private func recounted() -> [CounterDimension: UsageCounter] {
        var counters: [CounterDimension: UsageCounter] = [:]
        for stream in self.streams {
            for event in stream.events.prefix(stream.folded) { Self.count(event, into: &counters) }
        }
        return counters
    }

    private static func count(_ event: UsageEvent, into counters: inout [CounterDimension: UsageCounter]) {
        var dimensions: [CounterDimension] = [
            .total, .key(event.payer.keyID), .modelGroup(event.route.modelGroup),
        ]
        if let userID = event.payer.userID { dimensions.append(.user(userID)) }
        if let teamID = event.payer.teamID { dimensions.append(.team(teamID)) }
        for dimension in dimensions {
            var counter = counters[dimension] ?? .zero
            counter.spend += event.cost
            counter.inputTokens += event.usage.input
            counter.outputTokens += event.usage.output
            counter.requests += 1
            counter.errors += event.flags.contains(.error) ? 1 : 0
            counters[dimension] = counter
        }
    }
}
