import GatewayCore
import GatewayLedger
import Testing

/// What every `LedgerStore` must do. A test target runs each behaviour over its own stores:
///
///     @Test("behaves as every ledger store", arguments: LedgerStoreConformance.behaviours)
///     func conforms(_ behaviour: LedgerStoreBehaviour) async throws { try await behaviour.check(makeStore) }
package struct LedgerStoreBehaviour: Sendable, CustomTestStringConvertible {
    /// Gives a fresh, empty store at each call.
    package typealias Factory = @Sendable () async throws -> any LedgerStore

    package let name: String
    package let check: @Sendable (Factory) async throws -> Void

    package var testDescription: String { self.name }
}

package enum LedgerStoreConformance {
    package static let behaviours = [
        LedgerStoreBehaviour(name: "takes a stream with a growing epoch") { try await takesStreams($0()) },
        LedgerStoreBehaviour(name: "stores an append once") { try await storesOnce($0()) },
        LedgerStoreBehaviour(name: "fences a former holder") { try await fences($0()) },
        LedgerStoreBehaviour(name: "refuses a gap and an unknown stream") { try await refusesGaps($0()) },
        LedgerStoreBehaviour(name: "gives every field back") { try await keepsFields($0()) },
        LedgerStoreBehaviour(name: "keeps hostile text") { try await keepsHostileText($0()) },
        LedgerStoreBehaviour(name: "counts by every dimension") { try await counts($0()) },
        LedgerStoreBehaviour(name: "folds each row once") { try await foldsOnce($0()) },
        LedgerStoreBehaviour(name: "filters usage rows") { try await filters($0()) },
        LedgerStoreBehaviour(name: "pages through usage rows both ways") { try await pages($0()) },
        LedgerStoreBehaviour(name: "finds a request among many") { try await findsRequests($0()) },
        LedgerStoreBehaviour(name: "rebuilds what it had") { try await rebuilds($0()) },
        LedgerStoreBehaviour(name: "keeps streams apart") { try await keepsStreamsApart($0()) },
        LedgerStoreBehaviour(name: "lets one of many writers win each position") { try await oneWriterWins($0()) },
    ]

    /// What a store on disk must do beyond `behaviours`, since it outlives the bugs of its callers.
    package static let hardBehaviours = [
        LedgerStoreBehaviour(name: "survives extreme figures") { try await survivesExtremes($0()) },
        LedgerStoreBehaviour(name: "reports a request stored twice") { try await reportsDuplicates($0()) },
    ]

    private static func takesStreams(_ store: any LedgerStore) async throws {
        let first = try await store.takeStream(LedgerSample.journal(1))
        let again = try await store.takeStream(LedgerSample.journal(1))
        let other = try await store.takeStream(LedgerSample.journal(2))
        #expect(first.applied == 0)
        #expect(again.streamID == first.streamID)
        #expect(again.epoch > first.epoch)
        #expect(other.streamID != first.streamID)
        #expect(try await store.verify() == [])
    }

    private static func storesOnce(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        let events = LedgerSample.events(5)
        #expect(try await store.append(events, at: position) == .applied(5))
        #expect(try await store.append(events, at: position) == .rejected(epoch: position.epoch, applied: 5))
        #expect(try await LedgerSample.allRows(store).map(\.sequence) == [1, 2, 3, 4, 5])
        #expect(try await store.takeStream(LedgerSample.journal(1)).applied == 5)
        #expect(try await store.verify() == [])
    }

    private static func fences(_ store: any LedgerStore) async throws {
        let former = try await store.takeStream(LedgerSample.journal(1))
        let holder = try await store.takeStream(LedgerSample.journal(1))
        let events = LedgerSample.events(3)
        #expect(try await store.append(events, at: former) == .rejected(epoch: holder.epoch, applied: 0))
        #expect(try await store.append(events, at: holder) == .applied(3))
        #expect(try await LedgerSample.allRows(store).count == 3)
    }

    private static func refusesGaps(_ store: any LedgerStore) async throws {
        var position = try await store.takeStream(LedgerSample.journal(1))
        position.applied = 7
        #expect(
            try await store.append(LedgerSample.events(2), at: position)
                == .rejected(epoch: position.epoch, applied: 0))
        position.applied = 0
        position.streamID += 99
        do {
            guard case .rejected = try await store.append(LedgerSample.events(2), at: position) else {
                Issue.record("a stream that nobody took was accepted")
                return
            }
        } catch LedgerError.notFound {
            // As good an answer: the caller takes its stream again.
        }
        #expect(try await LedgerSample.allRows(store).isEmpty)
        #expect(try await store.verify() == [])
    }

    private static func keepsFields(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        let events = LedgerSample.variedEvents()
        #expect(try await store.append(events, at: position) == .applied(Int64(events.count)))
        let rows = try await LedgerSample.allRows(store)
        #expect(rows.count == events.count)
        for (row, event) in zip(rows, events) {
            #expect(row.streamID == position.streamID)
            #expect(LedgerSample.fields(row.event) == LedgerSample.fields(event))
        }
        _ = try await store.fold()
        #expect(try await store.verify() == [])
    }

    private static func keepsHostileText(_ store: any LedgerStore) async throws {
        var position = try await store.takeStream(LedgerSample.journal(1))
        for text in LedgerSample.hostileTexts {
            let payer = LedgerSample.payer(1, user: text, team: text)
            let route = RouteIdentity(
                modelGroup: text, model: text, provider: text, deploymentID: text, priceVersion: text)
            let event = LedgerSample.event(position.applied, payer: payer, route: route, endUser: text)
            #expect(try await store.append([event], at: position) == .applied(position.applied + 1))
            _ = try await store.fold()
            let query = UsageQuery(
                userID: text, after: (position.streamID, position.applied), newestFirst: false, limit: 10)
            let rows = try await store.usage(query)
            #expect(rows.count == 1)
            #expect(rows.first.map { LedgerSample.fields($0.event) } == LedgerSample.fields(event))
            #expect(try await store.counter(.user(text)).requests == 1)
            #expect(try await store.counter(.team(text)).requests == 1)
            #expect(try await store.counter(.modelGroup(text)).requests == 1)
            position.applied += 1
        }
        #expect(try await store.verify() == [])
    }

    private static func counts(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        let (ann, bob) = (
            LedgerSample.payer(1, user: "ann", team: "red"), LedgerSample.payer(2, user: "bob", team: "red")
        )
        let annLater = LedgerSample.payer(1, user: nil, team: "blue")
        let (small, large) = (LedgerSample.route("small"), LedgerSample.route("large"))
        let events = [
            LedgerSample.event(1, payer: ann, route: small), LedgerSample.event(2, payer: bob, route: large),
            LedgerSample.event(3, payer: annLater, route: large, flags: [.measured, .error]),
        ]
        _ = try await store.append(events, at: position)
        _ = try await store.fold()
        func counter(_ indices: [Int]) -> UsageCounter {
            var sum = UsageCounter.zero
            for event in indices.map({ events[$0] }) {
                sum.spend += event.cost
                sum.inputTokens += event.usage.input
                sum.outputTokens += event.usage.output
                sum.requests += 1
                sum.errors += event.flags.contains(.error) ? 1 : 0
            }
            return sum
        }
        #expect(try await store.counter(.total) == counter([0, 1, 2]))
        #expect(try await store.counter(.key(ann.keyID)) == counter([0, 2]))
        #expect(try await store.counter(.user("ann")) == counter([0]))
        #expect(try await store.counter(.team("red")) == counter([0, 1]))
        #expect(try await store.counter(.modelGroup("large")) == counter([1, 2]))
        #expect(try await store.counter(.user("nobody")) == .zero)
        #expect(
            try await store.keySpend() == [
                ann.keyID: events[0].cost + events[2].cost, bob.keyID: events[1].cost,
            ])
        #expect(try await store.verify() == [])
    }

    private static func foldsOnce(_ store: any LedgerStore) async throws {
        var position = try await store.takeStream(LedgerSample.journal(1))
        for count in [1, 70, 500, 3] {
            let events = LedgerSample.events(count, from: position.applied)
            #expect(try await store.append(events, at: position) == .applied(position.applied + Int64(count)))
            position.applied += Int64(count)
            #expect(try await store.fold() <= count)
            #expect(try await store.fold() == 0)
            #expect(try await store.counter(.total).requests == position.applied)
        }
        #expect(try await store.verify() == [])
    }

    private static func filters(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        let payers = [
            LedgerSample.payer(1, user: "ann", team: nil), LedgerSample.payer(2, user: nil, team: "red"),
            LedgerSample.payer(3, user: "bob", team: nil),
        ]
        let events = (0..<60).map { index in
            LedgerSample.event(Int64(index), payer: payers[index % 3], route: LedgerSample.route("m"))
        }
        _ = try await store.append(events, at: position)
        func check(_ query: UsageQuery, _ matches: (UsageEvent) -> Bool) async throws {
            let rows = try await store.usage(query)
            let wanted = events.filter(matches).map(\.requestID)
            #expect(rows.map(\.event.requestID) == wanted)
        }
        try await check(.init(digest: payers[1].digest, newestFirst: false, limit: 100)) {
            $0.payer.digest == payers[1].digest
        }
        try await check(.init(userID: "bob", newestFirst: false, limit: 100)) { $0.payer.userID == "bob" }
        try await check(.init(userID: "nobody", newestFirst: false, limit: 100)) { _ in false }
        try await check(.init(requestID: events[7].requestID, newestFirst: false, limit: 100)) {
            $0.requestID == events[7].requestID
        }
        let (from, before) = (events[10].startedAt, events[20].startedAt)
        try await check(.init(startedFrom: from, startedBefore: before, newestFirst: false, limit: 100)) {
            $0.startedAt >= from && $0.startedAt < before
        }
        try await check(.init(userID: "ann", startedFrom: from, newestFirst: false, limit: 100)) {
            $0.payer.userID == "ann" && $0.startedAt >= from
        }
        try await check(.init(newestFirst: false, limit: 0)) { _ in false }
    }

    private static func pages(_ store: any LedgerStore) async throws {
        for stream in [1, 2] as [UInt64] {
            let position = try await store.takeStream(LedgerSample.journal(stream))
            _ = try await store.append(LedgerSample.events(25, from: Int64(stream) * 100), at: position)
        }
        for newestFirst in [false, true] {
            var seen: [String] = []
            var after: (streamID: Int64, sequence: Int64)?
            while true {
                let page = try await store.usage(UsageQuery(after: after, newestFirst: newestFirst, limit: 7))
                seen += page.map { "\($0.streamID)/\($0.sequence)" }
                guard let last = page.last else { break }
                after = (last.streamID, last.sequence)
            }
            let all = try await store.usage(UsageQuery(newestFirst: newestFirst, limit: 1000))
            #expect(seen == all.map { "\($0.streamID)/\($0.sequence)" })
            #expect(Set(seen).count == 50)
        }
    }

    private static func findsRequests(_ store: any LedgerStore) async throws {
        var position = try await store.takeStream(LedgerSample.journal(1))
        var events = LedgerSample.events(9000)
        // A random identifier, and one that is all ones, among time-ordered ones.
        events[4100].requestID = RequestID(UUIDBits(high: .max, low: .max))
        events[8999].requestID = events[10].requestID
        events[8999].attempt = 1
        for start in stride(from: 0, to: events.count, by: 3000) {
            _ = try await store.append(Array(events[start..<(start + 3000)]), at: position)
            position.applied += 3000
        }
        for index in [0, 10, 4095, 4096, 4100, 8998] {
            let rows = try await store.usage(
                UsageQuery(requestID: events[index].requestID, newestFirst: false, limit: 10))
            #expect(rows.map(\.sequence) == (index == 10 ? [11, 9000] : [Int64(index) + 1]))
        }
        #expect(
            try await store.usage(UsageQuery(requestID: LedgerSample.requestID(-5), newestFirst: true, limit: 1))
                .isEmpty)
    }

    private static func rebuilds(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        _ = try await store.append(LedgerSample.variedEvents() + LedgerSample.events(600, from: 5000), at: position)
        _ = try await store.fold()
        let before = (try await store.counter(.total), try await store.keySpend())
        try await store.rebuildCounters()
        let after = (try await store.counter(.total), try await store.keySpend())
        #expect(before.0 == after.0)
        #expect(before.1 == after.1)
        #expect(try await store.fold() == 0)
        #expect(try await store.verify() == [])
    }

    private static func survivesExtremes(_ store: any LedgerStore) async throws {
        var position = try await store.takeStream(LedgerSample.journal(1))
        for value in [Int64.max, Int64.max, Int64.min, -1, 0] {
            var event = LedgerSample.event(
                position.applied, payer: LedgerSample.payer(1), route: LedgerSample.route("m"))
            event.cost = NanoUSD(rawValue: value)
            event.usage = TokenUsage(input: value, output: value)
            event.usage.imageOutput = value
            event.durationMicroseconds = value
            event.startedAt = UnixMicroseconds(rawValue: value)
            #expect(try await store.append([event], at: position) == .applied(position.applied + 1))
            position.applied += 1
            _ = try await store.fold()
            let row = try await store.usage(UsageQuery(newestFirst: true, limit: 1)).first
            #expect(row.map { LedgerSample.fields($0.event) } == LedgerSample.fields(event))
        }
        #expect(try await store.counter(.total).requests == 5)
    }

    private static func keepsStreamsApart(_ store: any LedgerStore) async throws {
        var positions: [StreamPosition] = []
        for journal in 1...3 as ClosedRange<UInt64> {
            positions.append(try await store.takeStream(LedgerSample.journal(journal)))
        }
        for round in 0..<4 as Range<Int64> {
            for index in positions.indices {
                let events = LedgerSample.events(3, from: round * 100 + Int64(index) * 10)
                #expect(try await store.append(events, at: positions[index]) == .applied(round * 3 + 3))
                positions[index].applied += 3
            }
        }
        _ = try await store.fold()
        #expect(try await store.counter(.total).requests == 36)
        #expect(try await LedgerSample.allRows(store).count == 36)
        #expect(try await store.verify() == [])
    }

    private static func oneWriterWins(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        let outcomes = try await withThrowingTaskGroup(of: AppendOutcome.self) { group in
            for writer in 0..<8 as Range<Int64> {
                group.addTask {
                    try await store.append(LedgerSample.events(10, from: writer * 100), at: position)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .applied(10) }.count == 1)
        #expect(outcomes.filter { $0 == .rejected(epoch: position.epoch, applied: 10) }.count == 7)
        _ = try await store.fold()
        #expect(try await store.counter(.total).requests == 10)
        #expect(try await store.verify() == [])
    }

    private static func reportsDuplicates(_ store: any LedgerStore) async throws {
        let position = try await store.takeStream(LedgerSample.journal(1))
        let event = LedgerSample.event(1, payer: LedgerSample.payer(1), route: LedgerSample.route("m"))
        _ = try await store.append([event, event], at: position)
        _ = try await store.fold()
        #expect(try await store.verify() != [])
    }
}
