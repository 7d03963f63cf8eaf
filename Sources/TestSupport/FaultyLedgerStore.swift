import GatewayCore
import GatewayLedger

/// A store one of whose calls fails, before it took effect or after: the caller cannot tell which.
package actor FaultyLedgerStore: LedgerStore {
    package enum Fault: Sendable, CaseIterable {
        /// The call never reached the store.
        case losesCall
        /// The call took effect; its answer was lost.
        case losesReply
    }

    private let store: any LedgerStore
    private let fault: Fault
    private let failingCalls: Set<Int>
    /// Calls so far.
    package private(set) var calls = 0

    /// - Parameter failingCalls: which calls fail, counted from 1 over all functions.
    package init(_ store: any LedgerStore, fault: Fault, failingCalls: Set<Int>) {
        self.store = store
        self.fault = fault
        self.failingCalls = failingCalls
    }

    /// Whether a fault has come about.
    package var hasFailed: Bool { self.failingCalls.contains { $0 <= self.calls } }

    private func passing<Answer: Sendable>(
        _ call: () async throws(LedgerError) -> Answer
    ) async throws(LedgerError) -> Answer {
        self.calls += 1
        let fails = self.failingCalls.contains(self.calls)
        let number = self.calls
        if fails, self.fault == .losesCall { throw .unavailable("call \(number) was lost") }
        let answer = try await call()
        if fails { throw .unavailable("the answer of call \(number) was lost") }
        return answer
    }

    package func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition {
        let store = self.store
        return try await self.passing { () async throws(LedgerError) in try await store.takeStream(journal) }
    }

    package func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding? {
        let store = self.store
        return try await self.passing { () async throws(LedgerError) in try await store.standing(of: journal) }
    }

    package func append(
        _ events: [UsageEvent], at position: StreamPosition
    ) async throws(LedgerError) -> AppendOutcome {
        let store = self.store
        return try await self.passing { () async throws(LedgerError) in try await store.append(events, at: position) }
    }

    package func fold() async throws(LedgerError) -> Int {
        let store = self.store
        return try await self.passing { () async throws(LedgerError) in try await store.fold() }
    }

    package func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD] { try await self.store.keySpend() }

    package func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter {
        try await self.store.counter(dimension)
    }

    package func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow] {
        try await self.store.usage(query)
    }

    package func rebuildCounters() async throws(LedgerError) { try await self.store.rebuildCounters() }

    package func verify() async throws(LedgerError) -> [String] { try await self.store.verify() }
}
