import Foundation
import Synchronization
import TestSupport
import Testing

/// Tests of the real binary: started as a process, spoken to over sockets, killed without mercy. One after another,
/// because they measure memory and time and share the machine's two cores with all other tests.
@Suite(
    "The gateway", .ownThread, .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["MARTLET_BINARY"] != nil,
        "needs a built gateway: run ./scripts/test, which sets MARTLET_BINARY"))
enum EndToEnd {}

/// A gateway in front of a scripted upstream, started, with one virtual key.
struct Scene {
    let upstream: ScriptedUpstream
    let gateway: MartletProcess
    let key: String

    /// - Parameter configure: changes the configuration before the start.
    init(
        _ scripts: [String: UpstreamScript], threads: Int = 2,
        configure: (inout MartletProcessConfiguration) -> Void = { _ in }
    ) throws {
        self.upstream = try ScriptedUpstream(scripts)
        var configuration = MartletProcessConfiguration(self.upstream)
        configure(&configuration)
        self.gateway = try MartletProcess(configuration: configuration.yaml, threads: threads)
        try self.gateway.start()
        self.key = try self.gateway.generateKey()
    }

    /// Ends the upstream's threads and the gateway.
    func end() {
        self.upstream.stop()
        self.gateway.kill()
    }

    /// Waits until the ledger has `count` rows and returns them.
    func rows(_ count: Int, within duration: Duration = .seconds(20)) throws -> [ExportedAttempt] {
        var rows: [ExportedAttempt] = []
        try waitUntil("\(count) rows in the ledger", within: duration) {
            rows = try self.gateway.exportLedger()
            return rows.count >= count
        }
        #expect(rows.count == count, "more rows than calls")
        return rows
    }

    /// The ledger is sound in itself.
    func expectSoundLedger(at location: SourceLocation = #_sourceLocation) throws {
        let result = try self.gateway.verifyLedger()
        #expect(result.end == .exited(0), "ledger verify: \(result.output)", sourceLocation: location)
    }

    /// Every call that the upstream counted is exactly one row; each with reported usage is booked as reported.
    @discardableResult
    func expectLedgerAgrees(at location: SourceLocation = #_sourceLocation) throws -> [ExportedAttempt] {
        let calls = self.upstream.calls
        let rows = try self.rows(calls.count)
        #expect(Set(rows.map { "\($0.requestID) \($0.attempt)" }).count == rows.count, "a row stands twice")
        for call in calls {
            guard call.state == .answered, let usage = call.reportedUsage else { continue }
            let found = rows.filter { $0.isMeasured && $0.promptTokens == usage.promptTokens }
            #expect(found.count == 1, "call \(call.sequence) (\(call.model))", sourceLocation: location)
            guard let row = found.first else { continue }
            #expect(row.completionTokens == usage.completionTokens, sourceLocation: location)
            #expect(row.cachedTokens == usage.cachedTokens, sourceLocation: location)
            #expect(row.reasoningTokens == usage.reasoningTokens, sourceLocation: location)
        }
        try self.expectSoundLedger(at: location)
        return rows
    }

    /// A well-formed call on a new connection works, so nothing before it has done harm.
    func expectStillServes(at location: SourceLocation = #_sourceLocation) throws {
        let response = try self.gateway.chat(model: "plain", key: self.key)
        #expect(response.status == 200, "\(response.text)", sourceLocation: location)
    }
}

/// A file beside the tests' Python scripts.
func pythonScript(_ name: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Python/\(name)")
}

/// Runs `work` on `count` threads at once and waits for all.
func concurrently<T: Sendable>(_ count: Int, _ work: @escaping @Sendable (Int) -> T) -> [T] {
    let background = Background(count, work)
    return background.wait()
}

/// Threads at work beside the test, which reads their results when they are done.
final class Background<T: Sendable>: Sendable {
    private let results = Mutex<[Int: T]>([:])
    private let done = DispatchSemaphore(value: 0)
    private let count: Int

    init(_ count: Int, _ work: @escaping @Sendable (Int) -> T) {
        self.count = count
        for index in 0..<count {
            let thread = Thread { [self] in
                let result = work(index)
                self.results.withLock { $0[index] = result }
                self.done.signal()
            }
            thread.stackSize = 512 << 10
            thread.start()
        }
    }

    /// Waits for all and returns their results in the order of their numbers.
    func wait() -> [T] {
        for _ in 0..<self.count { self.done.wait() }
        return self.results.withLock { results in results.sorted { $0.key < $1.key }.map(\.value) }
    }
}
