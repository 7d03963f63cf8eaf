import Foundation
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Under kill -9")
    struct Kill {
        /// What one caller saw of one call.
        private struct Seen: Sendable {
            let user: String
            /// From the answer's head. `nil`: no head came.
            var callID: String?
            /// The whole answer came, to the last chunk or byte.
            var isComplete = false
        }

        private static let rounds = 20
        private static let callers = 8
        /// Answered calls between two kills, so that every kill hits a gateway at work.
        private static let callsPerRound = 60

        @Test("the ledger loses no call and counts none twice, 20 times in a row")
        func nothingLostNothingTwice() throws {
            let scene = try Scene([
                "plain": .answer(), "slow": .slowAnswer(milliseconds: 15),
                "stream": .stream(events: 8, gapMilliseconds: 2),
            ])
            defer { scene.end() }
            let isOver = StopSign()
            let answered = Counter()
            let load = Background(Self.callers) { Self.callUntilOver(scene, caller: $0, isOver, answered) }
            for round in 1...Self.rounds {
                let goal = answered.value + Self.callsPerRound
                try waitUntil("\(Self.callsPerRound) answers in round \(round)", within: .seconds(60)) {
                    answered.value >= goal
                }
                scene.gateway.kill()
                // At once and on the same port, while callers knock.
                try scene.gateway.start()
                try scene.expectSoundLedger()
            }
            isOver.raise()
            let seen = load.wait().flatMap { $0 }
            try self.expectAgreement(seen, scene)
        }

        private func expectAgreement(_ seen: [Seen], _ scene: Scene) throws {
            try waitUntil("the upstream to be idle") { !scene.upstream.calls.contains { $0.state == .received } }
            let calls = scene.upstream.calls
            #expect(Set(calls.map(\.user)).count == calls.count, "a call was sent upstream twice")
            let rows = try self.settledRows(scene, atLeast: calls.count)
            let byID = Dictionary(grouping: rows, by: \.requestID)
            #expect(byID.values.allSatisfy { $0.count == 1 }, "a call stands in the ledger twice")

            // What a caller has got whole is booked as measured, with the upstream's own figures.
            let callOfUser = Dictionary(uniqueKeysWithValues: calls.map { ($0.user ?? "", $0) })
            for each in seen where each.isComplete {
                let call = try #require(callOfUser[each.user])
                let row = try #require(each.callID.flatMap { byID[$0]?.first }, "a whole answer without a row")
                #expect(row.isMeasured && !row.isError, "\(row)")
                #expect(row.promptTokens == 1000 + call.sequence)
            }
            // What is measured did happen, once.
            let measured = rows.filter(\.isMeasured)
            let sequences = measured.map { $0.promptTokens - 1000 }
            #expect(Set(sequences).count == sequences.count)
            for sequence in sequences {
                #expect(calls.indices.contains(sequence) && calls[sequence].state == .answered)
            }
            // The rest was in flight: flagged so, and charged.
            let rest = rows.filter { !$0.isMeasured }
            #expect(rest.allSatisfy { $0.isOrphaned || $0.isEstimated })
            #expect(rest.contains { $0.isOrphaned }, "20 kills under load left no call in flight")
            // Every call the upstream received has its row. A row more is an intent written before its request was on
            // the wire: at most one for each caller and kill.
            #expect(rows.count >= calls.count)
            #expect(rows.count - calls.count <= Self.rounds * Self.callers)
            #expect(rest.count >= rows.count - calls.count)
            try scene.expectSoundLedger()
            let spend = try scene.gateway.request("GET", "/key/info?key=\(scene.key)").json?["info"] as? [String: Any]
            let total = rows.reduce(0) { $0 + $1.costNanos }
            #expect(abs((spend?["spend"] as? Double ?? -1) - Double(total) / 1e9) < 1e-9)
        }

        private func settledRows(_ scene: Scene, atLeast count: Int) throws -> [ExportedAttempt] {
            var rows: [ExportedAttempt] = []
            try waitUntil("\(count) rows") {
                rows = try scene.gateway.exportLedger()
                return rows.count >= count
            }
            return rows
        }

        /// One caller: calls one after another on a kept connection, and connects anew when the gateway is gone.
        private static func callUntilOver(
            _ scene: Scene, caller: Int, _ isOver: StopSign, _ answered: Counter
        ) -> [Seen] {
            var seen: [Seen] = []
            var client: RawHTTPClient?
            while !isOver.isRaised {
                guard let connected = client ?? (try? RawHTTPClient(port: scene.gateway.port)) else {
                    poll(nil, 0, 2)
                    continue
                }
                client = connected
                let model = ["plain", "stream", "slow"][(seen.count + caller) % 3]
                var each = Seen(user: "c\(caller)-\(seen.count)")
                do {
                    try Self.call(connected, scene.key, model, &each)
                    answered.increment()
                } catch {
                    connected.close()
                    client = nil
                }
                seen.append(each)
            }
            return seen
        }

        private static func call(
            _ client: RawHTTPClient, _ key: String, _ model: String, _ seen: inout Seen
        ) throws {
            let body = MartletProcess.chatBody(model: model, user: seen.user, isStream: model == "stream")
            let headers = ["Authorization: Bearer \(key)"]
            try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", headers: headers, body: body))
            let deadline = Deadline(within: .seconds(60))
            let head = try client.head(before: deadline)
            guard head.status == 200 else { throw HTTPViolation(description: "status \(head.status)") }
            seen.callID = head.header("x-litellm-call-id")
            if head.header("transfer-encoding") != nil {
                while try client.chunk(before: deadline) != nil {}
            } else {
                _ = try client.body(count: Int(head.header("content-length") ?? "") ?? 0, before: deadline)
            }
            seen.isComplete = true
        }
    }
}

/// Tells threads to stop.
final class StopSign: Sendable {
    private let flag = Atomic<Bool>(false)
    var isRaised: Bool { self.flag.load(ordering: .acquiring) }
    func raise() { self.flag.store(true, ordering: .releasing) }
}

/// Counts over threads.
final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { self.count.load(ordering: .acquiring) }
    func increment() { self.count.wrappingAdd(1, ordering: .acquiringAndReleasing) }
}
