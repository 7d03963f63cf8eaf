import GatewayCore
import GatewayDataPlane
import GatewayLedger
import TestSupport
import Testing

@Suite("A journal that takes no more", .serialized)
struct JournalRefusalTests {
    private static func expectRefusal(_ gateway: TestGateway, at location: SourceLocation = #_sourceLocation) throws {
        let answer = try gateway.call().response()
        #expect(answer.status == 503, sourceLocation: location)
        #expect(answer.openAIError?["type"] as? String == "ledger_unavailable", sourceLocation: location)
        #expect(answer.header("retry-after") == "5", sourceLocation: location)
        // Where the journal lies is nothing for callers.
        #expect(!answer.text.contains("martlet-plane"), "\(answer.text)", sourceLocation: location)
    }

    @Test("because it is full makes calls refused before anything is sent, until it has been shipped")
    func full() async throws {
        try await withGateway { setup, _ in
            setup.journal = JournalConfiguration(segmentBytes: 65_536, bytesMax: 262_144, syncInterval: nil)
        } _: { gateway, provider in
            // Before it is full, so that its settlement has to find room afterwards.
            let running = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            var settled = 0
            while gateway.journal.state == .healthy, settled < 10_000 {
                do {
                    try gateway.journal.recordIntent(.sample(settled + 1))
                } catch {
                    break
                }
                try gateway.journal.recordSettlement(.sample(settled + 1))
                settled += 1
            }
            guard case .full = gateway.journal.state else {
                Issue.record("the journal is \(gateway.journal.state) after \(settled) attempts")
                return
            }
            try Self.expectRefusal(gateway)
            try Self.expectRefusal(gateway)
            // A connection may have been made for it, but nothing is sent on it.
            let unused = try provider.accept()
            #expect(!unused.hasBytes)
            try connection.answer(Wire.completion())
            #expect(try running.response().status == 200)
            #expect(gateway.settled == settled + 1)

            try gateway.journal.sync()
            let shipped = gateway.journal.lastSequence
            try gateway.journal.trim(through: shipped)
            gateway.shipped.change { $0 = shipped }
            let again = try gateway.call()
            try waitUntil("the call to be sent") { unused.hasBytes || connection.hasBytes }
            let used = unused.hasBytes ? unused : connection
            _ = try used.request()
            try used.answer(Wire.completion())
            #expect(try again.response().status == 200)
            #expect(gateway.settled == settled + 2)
        }
    }

    @Test("because a sync has failed makes calls refused, and keeps those that run")
    func syncFails() async throws {
        let disk = BrokenDisk()
        try await withGateway { setup, _ in
            setup.journalFiles = disk
        } _: { gateway, provider in
            let running = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            disk.breakDown()
            #expect(throws: LedgerError.self) { try gateway.journal.sync() }
            try Self.expectRefusal(gateway)
            let unused = try provider.accept()
            #expect(!unused.hasBytes)
            try connection.answer(Wire.completion())
            #expect(try running.response().status == 200)
            #expect(gateway.settled == 1)
            // Management goes on.
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(RawHTTPClient.bytes("GET", "/health"))
            #expect(try client.response().status == 200)
        }
    }
}
