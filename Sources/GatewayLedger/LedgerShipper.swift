import GatewayCore
import Synchronization

/// What an operator sees of shipping.
package struct ShipperStatus: Sendable, Equatable {
    /// Last settlement known to be in the store. `nil`: the stream has not been taken yet.
    package var applied: Int64?
    /// Settlements in the journal that were not in the store at the end of the last tick.
    package var lagEvents: Int64
    /// Message of the last tick's failure. `nil`: it succeeded.
    package var lastError: String?

    package init(applied: Int64?, lagEvents: Int64, lastError: String?) {
        self.applied = applied
        self.lagEvents = lagEvents
        self.lastError = lastError
    }
}

/// How often and how much is shipped.
package struct LedgerShipperConfiguration: Sendable, Equatable {
    /// Time between two ticks; each varies by a tenth, so that pods that started together drift apart.
    package var tick: Duration
    /// Most events in one append.
    package var batchMax: Int
    /// Longest wait after failures.
    package var backoffMax: Duration

    package init(tick: Duration = .milliseconds(500), batchMax: Int = 20_000, backoffMax: Duration = .seconds(5)) {
        precondition((1...20_000).contains(batchMax), "batchMax is \(batchMax), not within 1...20000")
        self.tick = tick
        self.batchMax = batchMax
        self.backoffMax = backoffMax
    }
}

/// Moves durable settlements from the journal to the store, each exactly once.
///
///     no position ──take──► position(epoch, applied) ──append──► applied moves on
///          ▲                        │      ▲ lost answer: the same batch again; "rejected, applied is where the
///          └── rejected: fenced ────┘      └─ batch ends" then says that it had been stored
///
/// The store compares and sets `applied` under the epoch, so repeating is safe and nothing but the position has to be
/// remembered.
package actor LedgerShipper {
    /// Rejections in a row after which a tick gives up: someone else is taking the stream at the same time.
    private static let takesMax = 3

    private let journal: Journal
    private let store: any LedgerStore
    private let configuration: LedgerShipperConfiguration
    private let sleep: @Sendable (Duration) async throws -> Void
    private var generator: any RandomNumberGenerator & Sendable
    private let shared = Mutex(ShipperStatus(applied: nil, lagEvents: 0, lastError: nil))

    /// `nil`: to be taken.
    private var position: StreamPosition?
    /// The batch behind `position` that may or may not be in the store.
    private var pending: [UsageEvent] = []
    private var needsFold = true
    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// - Parameter sleep: waits; throws when the task is cancelled.
    package init(
        journal: Journal, store: any LedgerStore, configuration: LedgerShipperConfiguration = .init(),
        generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.journal = journal
        self.store = store
        self.configuration = configuration
        self.generator = generator
        self.sleep = sleep
    }

    package nonisolated var status: ShipperStatus { self.shared.withLock { $0 } }

    /// Ships every tick until the task is cancelled. Failures show in `status` and are tried again. Does not drain at
    /// the end: call `shipNow()` for that.
    package func run() async {
        var failures = 0
        while !Task.isCancelled {
            do throws(LedgerError) {
                try await self.ship(isFoldingAll: false)
                failures = 0
            } catch {
                // `ship` has put it into `status`.
                failures = min(failures + 1, 16)
            }
            do {
                try await self.sleep(self.pause(failures: failures))
            } catch {
                return
            }
        }
    }

    /// Syncs the journal and ships everything in it, then folds and trims: for shutdown and tests.
    /// - Throws: what the store or the journal threw; nothing is lost, call it again.
    package func shipNow() async throws(LedgerError) {
        do {
            try self.journal.sync()
        } catch {
            // What became durable before should arrive all the same.
            try await self.ship(isFoldingAll: true)
            throw error
        }
        try await self.ship(isFoldingAll: true)
    }

    /// As `shipNow`, without waiting until all of it has been folded.
    package func shipPending() async throws(LedgerError) {
        try self.journal.sync()
        try await self.ship(isFoldingAll: false)
    }

    /// One tick, one at a time: an actor alone would let `run` and `shipNow` interleave at each `await`.
    private func ship(isFoldingAll: Bool) async throws(LedgerError) {
        if self.isBusy {
            await withCheckedContinuation { self.waiting.append($0) }
        }
        self.isBusy = true
        defer {
            if self.waiting.isEmpty { self.isBusy = false } else { self.waiting.removeFirst().resume() }
        }
        do {
            try await self.shipDurable(isFoldingAll: isFoldingAll)
            self.report(error: nil)
        } catch {
            self.report(error: error.message)
            throw error
        }
    }

    private func shipDurable(isFoldingAll: Bool) async throws(LedgerError) {
        var takes = 0
        while true {
            let position: StreamPosition
            if let known = self.position {
                position = known
            } else {
                takes += 1
                guard takes <= Self.takesMax else {
                    throw .unavailable(
                        "the stream of journal \(self.journal.journalID.text) was taken by another holder "
                            + "\(takes) times in a row: is a copy of this data directory in use elsewhere?")
                }
                position = try await self.take()
            }
            if self.pending.isEmpty {
                self.pending = try self.journal.readSettlements(
                    after: position.applied, limit: self.configuration.batchMax)
            }
            if self.pending.isEmpty { break }
            self.settle(try await self.store.append(self.pending, at: position), of: position)
        }
        if self.needsFold, isFoldingAll {
            while try await self.store.fold() > 0 {}
            self.needsFold = false
        } else if self.needsFold {
            self.needsFold = try await self.store.foldIfDue()
        }
        if let applied = self.position?.applied { try self.journal.trim(through: applied) }
    }

    private func take() async throws(LedgerError) -> StreamPosition {
        let position = try await self.store.takeStream(self.journal.journalID)
        guard position.applied <= self.journal.lastSequence else {
            throw .corrupt(
                "the store has settlement \(position.applied) of journal \(self.journal.journalID.text), but the "
                    + "journal in \(self.journal.directory) ends with \(self.journal.lastSequence): the directory was "
                    + "lost or replaced by an older copy. Move it away, so that a new journal with a new id begins")
        }
        self.position = position
        self.pending = []
        return position
    }

    private func settle(_ outcome: AppendOutcome, of position: StreamPosition) {
        let end = position.applied + Int64(self.pending.count)
        switch outcome {
        case .applied, .rejected(position.epoch, end):
            // Rejected at the end of this very batch: an earlier try had been stored and only its answer was lost.
            self.position?.applied = end
            self.needsFold = true
        case .rejected:
            self.position = nil
        }
        self.pending = []
    }

    private func report(error: String?) {
        let status = ShipperStatus(
            applied: self.position?.applied,
            lagEvents: self.journal.lastSequence - (self.position?.applied ?? 0), lastError: error)
        self.shared.withLock { $0 = status }
    }

    /// 0.9 to 1.1 ticks; after failures 0.5 to 1 times a wait that doubles up to the bound.
    private func pause(failures: Int) -> Duration {
        let part = Int64.random(in: 0...1000, using: &self.generator)
        if failures == 0 { return self.configuration.tick / 10_000 * (9000 + part * 2) }
        let wait = min(self.configuration.backoffMax, self.configuration.tick * (1 << failures))
        return wait / 2000 * (1000 + part)
    }
}
