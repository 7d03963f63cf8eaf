import GatewayCore

/// A journal's place in the store: the fencing epoch under which its owner may append, and how far it has come.
package struct StreamPosition: Sendable, Equatable {
    package var journal: JournalID
    package var streamID: Int64
    /// Grows with every take; appends under an older epoch are refused.
    package var epoch: Int64
    /// Sequence number of the last settlement that is in the store; 0: none.
    package var applied: Int64

    package init(journal: JournalID, streamID: Int64, epoch: Int64, applied: Int64) {
        self.journal = journal
        self.streamID = streamID
        self.epoch = epoch
        self.applied = applied
    }
}

/// Where a stream stands, for those who only look.
package struct StreamStanding: Sendable, Equatable {
    package var streamID: Int64
    /// Sequence number of the last settlement that came; 0: none.
    package var applied: Int64
    /// Rows up to this sequence number are gone by retention; their sums stay. 0: none.
    package var expired: Int64

    package init(streamID: Int64, applied: Int64, expired: Int64) {
        self.streamID = streamID
        self.applied = applied
        self.expired = expired
    }
}

/// Outcome of an append.
package enum AppendOutcome: Sendable, Equatable {
    /// All events are stored; `applied` is the new position.
    case applied(Int64)
    /// Nothing was stored, because the stream stands elsewhere: another epoch (fenced), or already applied.
    case rejected(epoch: Int64, applied: Int64)
}

/// Sums over usage rows of one thing.
package struct UsageCounter: Sendable, Equatable {
    package var spend: NanoUSD
    package var inputTokens: Int64
    package var outputTokens: Int64
    package var requests: Int64
    package var errors: Int64

    package init(spend: NanoUSD, inputTokens: Int64, outputTokens: Int64, requests: Int64, errors: Int64) {
        self.spend = spend
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.requests = requests
        self.errors = errors
    }

    package static let zero = UsageCounter(
        spend: .zero, inputTokens: 0, outputTokens: 0, requests: 0, errors: 0)
}

/// What a counter counts.
package enum CounterDimension: Hashable, Sendable {
    case total
    case key(VirtualKeyID)
    case user(String)
    case team(String)
    case modelGroup(String)
}

/// Filter of usage rows. `nil` fields do not filter.
package struct UsageQuery: Sendable {
    package var digest: KeyDigest?
    package var requestID: RequestID?
    package var userID: String?
    /// Inclusive.
    package var startedFrom: UnixMicroseconds?
    /// Exclusive.
    package var startedBefore: UnixMicroseconds?
    /// Rows after this (stream, sequence) in store order; for paging through everything.
    package var after: (streamID: Int64, sequence: Int64)?
    package var newestFirst: Bool
    package var limit: Int

    package init(
        digest: KeyDigest? = nil, requestID: RequestID? = nil, userID: String? = nil,
        startedFrom: UnixMicroseconds? = nil, startedBefore: UnixMicroseconds? = nil,
        after: (streamID: Int64, sequence: Int64)? = nil, newestFirst: Bool, limit: Int
    ) {
        self.digest = digest
        self.requestID = requestID
        self.userID = userID
        self.startedFrom = startedFrom
        self.startedBefore = startedBefore
        self.after = after
        self.newestFirst = newestFirst
        self.limit = limit
    }
}

/// A usage event with its place in the ledger.
package struct UsageRow: Sendable {
    package var streamID: Int64
    package var sequence: Int64
    package var event: UsageEvent

    package init(streamID: Int64, sequence: Int64, event: UsageEvent) {
        self.streamID = streamID
        self.sequence = sequence
        self.event = event
    }
}

/// Append-only usage and what is derived from it. Usage rows are the only truth: counters and daily aggregates are a
/// pure function of them and can be rebuilt. Every conformance passes `LedgerStoreConformance`.
package protocol LedgerStore: Sendable {
    /// Takes the stream of `journal`, creating it on first sight; the epoch grows, so a former holder is fenced.
    func takeStream(_ journal: JournalID) async throws(LedgerError) -> StreamPosition
    /// Where the stream of `journal` stands; nobody is fenced. `nil`: the store has never seen the journal.
    func standing(of journal: JournalID) async throws(LedgerError) -> StreamStanding?
    /// Stores `events` as sequence numbers `position.applied + 1 ...` if, and only if, the stream stands at
    /// `position.applied` under `position.epoch` (one compare-and-set; everything else hangs off it). Repeating a
    /// call is safe: the second is `.rejected`.
    func append(_ events: [UsageEvent], at position: StreamPosition) async throws(LedgerError) -> AppendOutcome
    /// Turns usage rows that no counter has seen into counters and daily aggregates, exactly once each.
    /// - Returns: rows folded, 0: nothing was new.
    func fold() async throws(LedgerError) -> Int
    /// As `fold`, but leaves the work to others when one of the fleet has done it a moment ago or is at it: for the
    /// ticks of many pods, because one fold of many rows costs less than many folds of few.
    /// - Returns: whether the caller must ask again with its next tick, because rows of its own may be left.
    func foldIfDue() async throws(LedgerError) -> Bool
    /// Spend of every virtual key that has any, up to the last fold.
    func keySpend() async throws(LedgerError) -> [VirtualKeyID: NanoUSD]
    func counter(_ dimension: CounterDimension) async throws(LedgerError) -> UsageCounter
    /// Usage rows in store order (or reversed).
    func usage(_ query: UsageQuery) async throws(LedgerError) -> [UsageRow]
    /// Throws away counters and daily aggregates and makes them anew from the rows, in one transaction.
    func rebuildCounters() async throws(LedgerError)
    /// Compares counters, daily aggregates, stream positions and rows; one sentence per difference, empty when exact.
    func verify() async throws(LedgerError) -> [String]
}

extension LedgerStore {
    /// For stores of a single pod: always due.
    package func foldIfDue() async throws(LedgerError) -> Bool {
        while try await self.fold() > 0 {}
        return false
    }
}
