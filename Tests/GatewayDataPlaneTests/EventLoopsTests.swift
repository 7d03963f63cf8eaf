import Foundation
import GatewayAdmission
import GatewayCore
import GatewayDataPlane
import Logging
import Synchronization
import TestSupport
import Testing

/// A provider that answers everything the same way, on a thread for each connection.
private final class EchoProvider: Sendable {
    let provider: HandProvider
    private let isOver = Atomic<Bool>(false)

    init() throws {
        self.provider = try HandProvider()
        let thread = Thread { [self] in
            while !self.isOver.load(ordering: .acquiring) {
                guard let socket = try? self.provider.acceptNow(within: .milliseconds(100))?.socket else { continue }
                Thread {
                    let connection = ProviderConnection(socket)
                    while (try? connection.request()) != nil {
                        guard (try? connection.answer(Wire.completion())) != nil else { break }
                    }
                    connection.close()
                }.start()
            }
        }
        thread.start()
    }

    func end() { self.isOver.store(true, ordering: .releasing) }
}

@Suite("Several event loops", .serialized)
struct EventLoopsTests {
    @Test("serve calls at once, and count, know keys and drain as one")
    func asOne() async throws {
        let provider = try EchoProvider()
        var setup = GatewaySetup(port: provider.provider.port)
        setup.configuration.eventLoops = 4
        setup.configuration.drainTimeout = .seconds(30)
        let gateway = try await TestGateway(setup)
        let callers = 16
        let callsEach = 25
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<callers {
                    group.addTask {
                        let client = try RawHTTPClient(port: gateway.port)
                        var served = 0
                        for _ in 0..<callsEach {
                            try client.send(gateway.requestBytes(Wire.chat()))
                            if try client.response().status == 200 { served += 1 }
                        }
                        client.close()
                        return served
                    }
                }
                let served = try await group.reduce(0, +)
                #expect(served == callers * callsEach)
            }
            try Self.expectOneTruth(gateway, calls: callers * callsEach)
            provider.end()
        }
        await gateway.server.drain()
        #expect(throws: SocketError.self) { _ = try RawHTTPClient(port: gateway.port, within: .seconds(5)) }
        await gateway.stop()
    }

    private static func expectOneTruth(_ gateway: TestGateway, calls: Int) throws {
        try gateway.checkInvariants()
        let rows = try gateway.rows()
        #expect(rows.count == calls)
        #expect(Set(rows.map(\.requestID)).count == calls)
        let spend = rows.reduce(0) { $0 + $1.cost.rawValue }
        #expect(spend == Int64(calls) * Settled.measured.cost)
        #expect(gateway.keys.entry(digest: TestGateway.digest(of: TestGateway.key))?.spend.spend.rawValue == spend)
        let metrics = gateway.metrics()
        #expect(metrics.calls.count == 1)
        #expect(metrics.calls[0].cost.rawValue == spend)
        #expect(metrics.responsesByStatus[200] == Int64(calls))
        #expect(metrics.callsInFlight == 0)
        // A key that is blocked is blocked on each of them, also on connections that have used it before.
        let clients = try (0..<16).map { _ in try RawHTTPClient(port: gateway.port) }
        for client in clients {
            try client.send(gateway.requestBytes(Wire.chat()))
            #expect(try client.response().status == 200)
        }
        var blocked = TestGateway.record(TestGateway.key, number: 1)
        blocked.isBlocked = true
        gateway.keys.set(blocked, startingSpend: .zero)
        for client in clients {
            try client.send(gateway.requestBytes(Wire.chat()))
            #expect(try client.response().status == 401)
        }
    }

    @Test("share the places of a deployment: one that becomes free on one of them is taken on any other")
    func places() async throws {
        try await withGateway { setup, port in
            setup.configuration.eventLoops = 4
            setup.deployments = []
            setup.add("chat", port: port, inFlightMax: 1, waitingMax: 100)
        } _: { gateway, provider in
            let clients = try (0..<12).map { _ in try gateway.call() }
            try waitUntil("all to have come") { gateway.snapshot.places == (1, 11) }
            var connections: [ProviderConnection] = []
            var served = 0
            let deadline = Deadline(within: .seconds(60))
            while served < clients.count, !deadline.hasPassed {
                // The loops have connections of their own, so the next call may come on a new one or on any old one.
                if let new = try? provider.acceptNow() { connections.append(new) }
                for connection in connections where connection.hasBytes {
                    _ = try connection.request()
                    #expect(gateway.snapshot.places.taken == 1)
                    served += 1
                    try connection.answer(Wire.completion())
                }
            }
            for client in clients { #expect(try client.response().status == 200) }
        }
    }

    @Test("say once that a price is not known, whichever meets it first")
    func unpricedOnce() async throws {
        let log = Locked<[String]>([])
        try await withGateway { setup, _ in
            setup.configuration.eventLoops = 4
            setup.isPriced = false
            setup.add("built-in", port: 0, model: "unheard-of", answer: .text("made here"))
            setup.logger = Logger(label: "test") { _ in LineCollector(lines: log) }
        } _: { gateway, _ in
            for _ in 0..<16 {
                let answer = try gateway.call(Wire.chat("built-in")).response()
                #expect(answer.status == 200)
            }
            let rows = try gateway.rows()
            #expect(rows.allSatisfy { $0.flags.contains(.unpriced) })
            #expect(log.value.filter { $0.contains("unheard-of") }.count == 1, "\(log.value)")
        }
    }
}

/// Keeps warnings and worse, each with its metadata.
struct LineCollector: LogHandler {
    let lines: Locked<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    init(lines: Locked<[String]>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let line = "\(event.message) \(event.metadata ?? [:])"
        self.lines.change { $0.append(line) }
    }
}
