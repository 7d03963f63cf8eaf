import GatewayCore
import GatewayLedger
import Logging
import Synchronization

/// Who a pod is, for as long as its process runs.
package struct FleetIdentity: Sendable, Equatable {
    package var podID: PodID
    package var name: String
    package var processID: Int32
    package var version: String
    package var startedAt: UnixMicroseconds
    package var journal: JournalID

    package init(
        podID: PodID, name: String, processID: Int32, version: String, startedAt: UnixMicroseconds,
        journal: JournalID
    ) {
        self.podID = podID
        self.name = name
        self.processID = processID
        self.version = version
        self.startedAt = startedAt
        self.journal = journal
    }
}

/// What a pod says of itself that changes; the meanings are those of `PodBeat`.
package struct PodFacts: Sendable, Equatable {
    package var applied: Int64
    package var journalBytes: Int64
    package var connections: Int32

    package init(applied: Int64, journalBytes: Int64, connections: Int32) {
        self.applied = applied
        self.journalBytes = journalBytes
        self.connections = connections
    }
}

/// What a pod knows of its own membership.
package struct FleetMemberStatus: Sendable, Equatable {
    /// The last answer of the store. `nil`: none came yet.
    package var pulse: FleetPulse?
    /// Since the last answered beat was sent. `nil`: none was answered yet.
    package var beatAge: Duration?
    /// For how long the store has answered every beat. `nil`: it did not answer the last one.
    package var storeReachableFor: Duration?
    /// For how long the store has not answered. `nil`: it answered last time.
    package var storeUnreachableFor: Duration?
    /// Of the last beat. `nil`: it was answered.
    package var lastError: String?
    /// The store has been away for longer than the grace.
    package var isBeyondGrace: Bool

    /// The store is away: calls go on, but an operator should look.
    package var isDegraded: Bool { self.storeUnreachableFor != nil }
}

/// Keeps this pod in the fleet: beats every second, and at once when there is something to tell.
package final class FleetMember: Sendable {
    private static let waitingMax = 10_000
    private static let farewellsMax = 3
    private struct State {
        var reach: StoreReach
        var pulse: FleetPulse?
        var failures = 0
        var hasLeft = false
    }

    package let identity: FleetIdentity
    private let store: any FleetStore
    private let configuration: FleetConfiguration
    private let changes: ChangeLogReader
    private let facts: @Sendable () -> PodFacts
    private let onPulse: @Sendable (FleetPulse, _ told: Int64) -> Void
    private let time: FleetTime
    private let pacer: Pacer
    private let logger: Logger
    private let bell = Bell()
    private let beats = SharedRun<FleetPulse>(waitingMax: FleetMember.waitingMax)
    private let state: Mutex<State>

    /// - Parameters:
    ///   - facts: read at each beat; must be quick.
    ///   - onPulse: gets each answer with the change position that the beat had told; must be quick.
    package init(
        identity: FleetIdentity, store: any FleetStore, changes: ChangeLogReader, configuration: FleetConfiguration,
        time: FleetTime, generator: any RandomNumberGenerator & Sendable, logger: Logger,
        facts: @escaping @Sendable () -> PodFacts,
        onPulse: @escaping @Sendable (FleetPulse, _ told: Int64) -> Void
    ) {
        self.identity = identity
        self.store = store
        self.changes = changes
        self.configuration = configuration
        self.time = time
        self.pacer = Pacer(generator)
        self.logger = logger
        self.facts = facts
        self.onPulse = onPulse
        self.state = Mutex(State(reach: StoreReach(startedAt: time.now())))
    }

    package var status: FleetMemberStatus {
        let now = self.time.now()
        return self.state.withLock { state in
            let away = state.reach.unreachableFor(now: now)
            return FleetMemberStatus(
                pulse: state.pulse, beatAge: state.reach.lastAnsweredAt.map { max(.zero, now - $0) },
                storeReachableFor: state.reach.answeringSince.map { max(.zero, now - $0) }, storeUnreachableFor: away,
                lastError: state.reach.lastError,
                isBeyondGrace: away.map { $0 > self.configuration.grace } ?? false)
        }
    }

    /// What this pod would tell now.
    package var currentBeat: PodBeat {
        let facts = self.facts()
        return PodBeat(
            podID: self.identity.podID, name: self.identity.name, processID: self.identity.processID,
            version: self.identity.version, startedAt: self.identity.startedAt, journal: self.identity.journal,
            applied: facts.applied, changePosition: self.changes.position, journalBytes: facts.journalBytes,
            connections: facts.connections)
    }

    /// Beats until the task is cancelled. Call it once. Does not say farewell: `leave()` does.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.ringRegularly() }
            group.addTask {
                for await _ in self.bell.rings {
                    // A failure stands in `status` and the next ring tries again.
                    _ = try? await self.beat()
                }
            }
            await group.waitForAll()
        }
    }

    /// Beats as soon as possible; many of these at once are one beat.
    package func beatSoon() { self.bell.ring() }

    /// Beats and waits for the answer; what the beat tells was read after this call.
    /// - Throws: as the store; `.unavailable` after `leave()`.
    @discardableResult package func beat() async throws(LedgerError) -> FleetPulse {
        try await self.beats.run { () async throws(LedgerError) in try await self.send() }
    }

    /// Takes this pod out of the fleet, at the end of a drain; a beat on its way comes first. Tries a few times: should
    /// the store be away, the other pods find out by themselves.
    package func leave() async {
        self.state.withLock { $0.hasLeft = true }
        // Waits for a beat on its way, which could otherwise arrive after the farewell.
        _ = try? await self.beat()
        for attempt in 1...Self.farewellsMax {
            do throws(LedgerError) {
                return try await self.store.leave(self.identity.podID)
            } catch {
                self.logger.warning(
                    "Farewell to the fleet failed", metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
                let pause = self.pacer.backOff(from: .milliseconds(100), failures: attempt, most: .seconds(1))
                do { try await self.time.sleep(pause) } catch { return }
            }
        }
    }

    private func ringRegularly() async {
        while !Task.isCancelled {
            self.bell.ring()
            let failures = self.state.withLock { $0.failures }
            let pause =
                failures == 0
                ? self.pacer.period(self.configuration.beatInterval)
                : self.pacer.backOff(
                    from: self.configuration.beatInterval / 2, failures: failures,
                    most: min(self.configuration.backOffMax, self.configuration.beatInterval * 2))
            do { try await self.time.sleep(pause) } catch { return }
        }
    }

    private func send() async throws(LedgerError) -> FleetPulse {
        if self.state.withLock({ $0.hasLeft }) { throw .unavailable("this pod has left the fleet") }
        let sentAt = self.time.now()
        let beat = self.currentBeat
        do throws(LedgerError) {
            let pulse = try await self.store.beat(beat)
            let isBack = self.state.withLock { state in
                defer {
                    state.reach.answered(sentAt: sentAt)
                    state.pulse = pulse
                    state.failures = 0
                }
                return state.failures > 0
            }
            if isBack { self.logger.notice("The fleet's store answers again") }
            self.onPulse(pulse, beat.changePosition)
            return pulse
        } catch {
            let isFirst = self.state.withLock { state in
                state.reach.failed(error.message)
                state.failures += 1
                return state.failures == 1
            }
            if isFirst {
                self.logger.warning(
                    "The fleet's store does not answer", metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
            }
            throw error
        }
    }
}
