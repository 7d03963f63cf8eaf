import GatewayCore
import GatewayLedger
import Testing

/// What every `FleetStore` must do; used as `LedgerStoreBehaviour`.
package struct FleetStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// A fresh, empty store with what a test needs around it.
    package struct Subject: Sendable {
        package let fleet: any FleetStore
        /// The ledger whose streams the fleet store watches.
        package let ledger: any LedgerStore
        /// Adds one entry to the change log.
        package let change: @Sendable () async throws -> Void
        /// Moves the store's clock forward, or everything that it has stored back, which comes to the same.
        package let advance: @Sendable (Duration) async throws -> Void

        package init(
            fleet: any FleetStore, ledger: any LedgerStore, change: @escaping @Sendable () async throws -> Void,
            advance: @escaping @Sendable (Duration) async throws -> Void
        ) {
            self.fleet = fleet
            self.ledger = ledger
            self.change = change
            self.advance = advance
        }
    }

    /// Gives a fresh subject at each call.
    package typealias Factory = @Sendable () async throws -> Subject

    package let name: String
    package let check: @Sendable (Factory) async throws -> Void

    package var testDescription: String { self.name }
}

/// Ages are compared with a slack of a minute, because the clock of a real store moves on while a test runs.
package enum FleetStoreConformance {
    package static let behaviours = [
        FleetStoreBehaviour(name: "shows a pod as it beat") { try await showsPods($0()) },
        FleetStoreBehaviour(name: "keeps hostile text") { try await keepsHostileText($0()) },
        FleetStoreBehaviour(name: "forgets pods that are silent or have left") { try await forgetsPods($0()) },
        FleetStoreBehaviour(name: "tells the head of the change log") { try await tellsHead($0()) },
        FleetStoreBehaviour(name: "leases a job to one pod at a time") { try await leases($0()) },
        FleetStoreBehaviour(name: "lets one of many claims win") { try await oneClaimWins($0()) },
        FleetStoreBehaviour(name: "fences the stream of a silent pod") { try await reaps($0()) },
        FleetStoreBehaviour(name: "writes off what was held long enough") { try await writesOff($0()) },
        FleetStoreBehaviour(name: "takes a beat and a take for life") { try await revives($0()) },
        FleetStoreBehaviour(name: "closes the stream of a pod that leaves") { try await closes($0()) },
        FleetStoreBehaviour(name: "knows what a minute of a journal is worth") { try await values($0()) },
        FleetStoreBehaviour(name: "keeps counters of rows that retention drops") { try await retains($0()) },
    ]

    private static func pod(_ number: UInt64, journal: UInt64 = 1, name: String = "pod") -> PodBeat {
        PodBeat(
            podID: PodID(UUIDBits(high: 0x9000, low: number)), name: name, processID: 7, version: "0.2.0",
            startedAt: UnixMicroseconds(rawValue: 1_763_800_000_000_000 - Int64(number / 2)),
            journal: LedgerSample.journal(journal), applied: 5, changePosition: 6, journalBytes: 1 << 40,
            connections: 3)
    }

    private static func isAbout(_ age: Duration, _ wanted: Duration) -> Bool {
        age >= wanted && age < wanted + .seconds(60)
    }

    private static func showsPods(_ subject: FleetStoreBehaviour.Subject) async throws {
        let fleet = subject.fleet
        // Started at the same time: 2 and 3, and before them 4.
        for number in [2, 4, 3] as [UInt64] { _ = try await fleet.beat(Self.pod(number)) }
        let views = try await fleet.pods(seenWithin: .seconds(60))
        #expect(views.map(\.beat) == [Self.pod(4), Self.pod(2), Self.pod(3)])
        #expect(views.allSatisfy { Self.isAbout($0.beatAge, .zero) })
        var later = Self.pod(2, journal: 9, name: "renamed")
        (later.applied, later.changePosition, later.journalBytes, later.connections) = (50, 60, 70, 1)
        _ = try await fleet.beat(later)
        #expect(try await fleet.pods(seenWithin: .seconds(60)).map(\.beat) == [Self.pod(4), later, Self.pod(3)])
    }

    private static func keepsHostileText(_ subject: FleetStoreBehaviour.Subject) async throws {
        for (index, text) in LedgerSample.hostileTexts.enumerated() {
            var beat = Self.pod(UInt64(index) * 2)
            (beat.name, beat.version) = (text, text)
            _ = try await subject.fleet.beat(beat)
            #expect(try await subject.fleet.pods(seenWithin: .seconds(60)).first?.beat == beat)
            let lease = try #require(try await subject.fleet.claim(text, for: beat.podID, duration: .seconds(600)))
            #expect(lease.job == text)
        }
    }

    private static func forgetsPods(_ subject: FleetStoreBehaviour.Subject) async throws {
        let fleet = subject.fleet
        _ = try await fleet.beat(Self.pod(2))
        try await subject.advance(.seconds(600))
        _ = try await fleet.beat(Self.pod(4))
        #expect(try await fleet.pods(seenWithin: .seconds(300)).map(\.beat) == [Self.pod(4)])
        let all = try await fleet.pods(seenWithin: .seconds(3600))
        #expect(all.map(\.beat) == [Self.pod(4), Self.pod(2)])
        #expect(Self.isAbout(all[1].beatAge, .seconds(600)))
        try await fleet.leave(Self.pod(4).podID)
        try await fleet.leave(Self.pod(8).podID)
        #expect(try await fleet.pods(seenWithin: .seconds(3600)).map(\.beat) == [Self.pod(2)])
    }

    private static func tellsHead(_ subject: FleetStoreBehaviour.Subject) async throws {
        let before = try await subject.fleet.beat(Self.pod(2))
        #expect(before.changeHead == 0)
        for _ in 0..<3 { try await subject.change() }
        let after = try await subject.fleet.beat(Self.pod(2))
        #expect(after.changeHead == 3)
        #expect(after.now >= before.now)
    }

    private static func leases(_ subject: FleetStoreBehaviour.Subject) async throws {
        let fleet = subject.fleet
        let (ann, bob) = (Self.pod(2).podID, Self.pod(4).podID)
        let first = try #require(try await fleet.claim("fold", for: ann, duration: .seconds(600)))
        #expect(first.job == "fold")
        #expect(first.holder == ann)
        #expect(try await fleet.claim("fold", for: bob, duration: .seconds(600)) == nil)
        #expect(try await fleet.claim("other", for: bob, duration: .seconds(600)) != nil)
        // Prolonged from now, so it outlives the first term.
        try await subject.advance(.seconds(400))
        #expect(try await fleet.claim("fold", for: ann, duration: .seconds(600)) == first)
        try await subject.advance(.seconds(400))
        #expect(try await fleet.claim("fold", for: bob, duration: .seconds(600)) == nil)
        try await subject.advance(.seconds(600))
        let second = try #require(try await fleet.claim("fold", for: bob, duration: .seconds(600)))
        #expect(second.epoch > first.epoch)
        // The former holder's release is fenced.
        try await fleet.release(first)
        #expect(try await fleet.claim("fold", for: ann, duration: .seconds(600)) == nil)
        try await fleet.release(second)
        let third = try #require(try await fleet.claim("fold", for: ann, duration: .seconds(600)))
        #expect(third.epoch > second.epoch)
    }

    private static func oneClaimWins(_ subject: FleetStoreBehaviour.Subject) async throws {
        for round in 0..<5 {
            let wins = try await withThrowingTaskGroup(of: JobLease?.self) { group in
                for number in 0..<8 as Range<UInt64> {
                    group.addTask {
                        try await subject.fleet.claim(
                            "fold", for: Self.pod(UInt64(round) * 8 + number).podID, duration: .seconds(60))
                    }
                }
                return try await group.reduce(into: [JobLease]()) { if let lease = $1 { $0.append(lease) } }
            }
            #expect(wins.count == 1)
            try await subject.advance(.seconds(120))
        }
    }

    private static func reaps(_ subject: FleetStoreBehaviour.Subject) async throws {
        let (fleet, ledger) = (subject.fleet, subject.ledger)
        let silent = try await ledger.takeStream(LedgerSample.journal(1))
        _ = try await fleet.beat(Self.pod(2, journal: 1, name: "silent"))
        _ = try await ledger.append(LedgerSample.events(4), at: silent)
        try await subject.advance(.seconds(600))
        let lively = try await ledger.takeStream(LedgerSample.journal(2))
        _ = try await fleet.beat(Self.pod(4, journal: 2))
        let changed = try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600))
        let orphan = try #require(changed.first)
        #expect(changed.count == 1)
        #expect(orphan.journal == LedgerSample.journal(1))
        #expect(orphan.streamID == silent.streamID)
        #expect(orphan.state == .orphan)
        #expect(orphan.podName == "silent")
        #expect(orphan.applied == 4)
        #expect(Self.isAbout(orphan.beatAge, .seconds(600)))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)) == [])
        #expect(try await fleet.orphans().map(\.journal) == [LedgerSample.journal(1)])
        var late = silent
        late.applied = 4
        guard case .rejected(let epoch, 4) = try await ledger.append(LedgerSample.events(1, from: 4), at: late) else {
            Issue.record("the former holder of an orphan was not fenced")
            return
        }
        #expect(epoch > silent.epoch)
        #expect(try await ledger.append(LedgerSample.events(1, from: 9), at: lively) == .applied(1))
    }

    private static func writesOff(_ subject: FleetStoreBehaviour.Subject) async throws {
        let (fleet, ledger) = (subject.fleet, subject.ledger)
        _ = try await ledger.takeStream(LedgerSample.journal(1))
        try await subject.advance(.seconds(1000))
        #expect(
            try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(1800)).map(\.state) == [.orphan])
        try await subject.advance(.seconds(1000))
        let changed = try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(1800))
        #expect(changed.map(\.state) == [.writtenOff])
        #expect(changed.first?.podName == nil)
        #expect(Self.isAbout(changed.first?.beatAge ?? .zero, .seconds(2000)))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(1800)) == [])
        _ = try await ledger.takeStream(LedgerSample.journal(2))
        try await subject.advance(.seconds(1000))
        _ = try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(1800))
        #expect(try await fleet.orphans().map(\.state) == [.writtenOff, .orphan])
        // Its journal came back all the same.
        let position = try await ledger.takeStream(LedgerSample.journal(1))
        #expect(try await ledger.append(LedgerSample.events(2), at: position) == .applied(2))
        #expect(try await fleet.orphans().map(\.journal) == [LedgerSample.journal(2)])
    }

    private static func revives(_ subject: FleetStoreBehaviour.Subject) async throws {
        let (fleet, ledger) = (subject.fleet, subject.ledger)
        var position = try await ledger.takeStream(LedgerSample.journal(1))
        for _ in 0..<3 {
            try await subject.advance(.seconds(200))
            // Each alone is a sign of life.
            _ = try await fleet.beat(Self.pod(2))
            #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)) == [])
            try await subject.advance(.seconds(200))
            _ = try await ledger.append(LedgerSample.events(1, from: position.applied), at: position)
            position.applied += 1
            #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)) == [])
        }
        try await subject.advance(.seconds(600))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)).count == 1)
        // A pod that was paused and beats again is no orphan, but must take its stream again.
        _ = try await fleet.beat(Self.pod(2))
        #expect(try await fleet.orphans() == [])
        guard case .rejected = try await ledger.append(LedgerSample.events(1, from: 70), at: position) else {
            Issue.record("a beat lifted the fence")
            return
        }
        try await subject.advance(.seconds(600))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)).count == 1)
        position = try await ledger.takeStream(LedgerSample.journal(1))
        #expect(try await fleet.orphans() == [])
        #expect(try await ledger.append(LedgerSample.events(1, from: 70), at: position) == .applied(4))
    }

    private static func closes(_ subject: FleetStoreBehaviour.Subject) async throws {
        let (fleet, ledger) = (subject.fleet, subject.ledger)
        _ = try await ledger.takeStream(LedgerSample.journal(1))
        _ = try await fleet.beat(Self.pod(2))
        try await fleet.leave(Self.pod(2).podID)
        try await subject.advance(.seconds(7200))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)) == [])
        // The next run of the pod has the same journal; its former run's late farewell does not end it.
        _ = try await ledger.takeStream(LedgerSample.journal(1))
        _ = try await fleet.beat(Self.pod(4))
        _ = try await fleet.beat(Self.pod(6))
        try await fleet.leave(Self.pod(4).podID)
        try await subject.advance(.seconds(600))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)).count == 1)
        // What a killed run left behind does not keep the next run's farewell from closing it.
        _ = try await ledger.takeStream(LedgerSample.journal(1))
        _ = try await fleet.beat(Self.pod(8))
        try await fleet.leave(Self.pod(8).podID)
        try await subject.advance(.seconds(600))
        #expect(try await fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600)) == [])
        #expect(try await fleet.orphans() == [])
    }

    private static func values(_ subject: FleetStoreBehaviour.Subject) async throws {
        let position = try await subject.ledger.takeStream(LedgerSample.journal(1))
        var events = LedgerSample.events(6)
        for index in events.indices {
            events[index].startedAt = UnixMicroseconds(rawValue: 1_763_800_000_000_000 + Int64(index) * 25_000_000)
            events[index].durationMicroseconds = 1000
            events[index].cost = NanoUSD(rawValue: 1 << Int64(index))
        }
        _ = try await subject.ledger.append(events, at: position)
        try await subject.advance(.seconds(600))
        let changed = try await subject.fleet.reapStreams(deadAfter: .seconds(300), holdFor: .seconds(3600))
        // The last three ended 0, 25 and 50 seconds before the last one's end.
        #expect(changed.map(\.spendOfLastMinute) == [NanoUSD(rawValue: 8 + 16 + 32)])
        #expect(try await subject.fleet.orphans().map(\.spendOfLastMinute) == [NanoUSD(rawValue: 56)])
    }

    private static func retains(_ subject: FleetStoreBehaviour.Subject) async throws {
        let (fleet, ledger) = (subject.fleet, subject.ledger)
        var position = try await ledger.takeStream(LedgerSample.journal(1))
        _ = try await ledger.append(LedgerSample.events(10), at: position)
        position.applied = 10
        _ = try await ledger.fold()
        try await subject.change()
        try await subject.advance(.seconds(10 * 86_400))
        _ = try await ledger.append(LedgerSample.events(5, from: 100), at: position)
        _ = try await ledger.fold()
        let before = (try await ledger.counter(.total), try await ledger.keySpend())
        _ = try await fleet.maintain(retention: nil)
        #expect(try await LedgerSample.allRows(ledger).map(\.sequence) == Array(1...15))
        #expect(try await fleet.maintain(retention: .seconds(5 * 86_400)) != [])
        #expect(try await LedgerSample.allRows(ledger).map(\.sequence) == Array(11...15))
        for _ in 0..<2 {
            #expect(try await ledger.counter(.total) == before.0)
            #expect(try await ledger.keySpend() == before.1)
            #expect(try await ledger.verify() == [])
            try await ledger.rebuildCounters()
        }
        #expect(try await fleet.beat(Self.pod(2)).changeHead == 1)
    }
}
