import ArgumentParser
import Foundation
import GatewayCore
import GatewayLedger
import GatewayPostgres
import Synchronization

/// One cell of the fleet's table: so many pods, each with so many calls a second, on one PostgreSQL. `fleet.py` starts
/// it, and measures the server between the lines `begin` and `end` of its output; the last line is JSON.
@main
struct FleetBench: AsyncParsableCommand {
    enum Design: String, ExpressibleByArgument, CaseIterable {
        case martlet
        case redis
        case perCall = "per-call"
        case batched, sorted
    }

    @Option var url: String
    @Option(help: "Redis of the design of this name.") var redis: String?
    @Option var design: Design
    @Option var pods: Int
    @Option var rate: Int64
    @Option var secs: Int64
    @Option var seed: UInt64 = 1
    @Option(help: "Empty; takes the pods' journals.") var directory: String
    @Flag var aligned = false

    func run() async throws {
        let recorder = Recorder()
        let outcome =
            switch self.design {
            case .martlet: try await self.martlet(recorder, redis: nil)
            case .redis: try await self.martlet(recorder, redis: self.redis ?? "redis://127.0.0.1")
            case .perCall: try await self.baseline(.perCall, recorder)
            case .batched: try await self.baseline(.batched, recorder)
            case .sorted: try await self.baseline(.sorted, recorder)
            }
        try self.report(recorder.figures, outcome)
    }

    private struct Outcome {
        var made: Int64 = 0
        var spend: Int64 = 0
        /// What an exact ledger does not have.
        var differences: [String] = []
    }

    private func makePlan() -> Plan {
        Plan(pods: self.pods, rate: self.rate, seconds: self.secs, isAligned: self.aligned, seed: self.seed)
    }

    /// - Parameter redis: its address. `nil`: pods write straight into the store.
    private func martlet(_ recorder: Recorder, redis: String?) async throws -> Outcome {
        let store = try PostgresStore(PostgresSettings(url: self.url))
        try await store.open(patience: .seconds(10), pause: { try? await Task.sleep(for: $0) })
        let workload = Workload()
        var fleet: [MartletPod] = []
        for index in 0..<self.pods {
            fleet.append(
                try await MartletPod(
                    index: index, url: self.url, redis: redis, directory: self.directory, recorder: recorder))
        }
        let plan = self.makePlan()
        let numbers = Dictionary(uniqueKeysWithValues: fleet.map { ($0.journal.journalID.text, $0.index) })
        let sampler = Sampler(url: self.url, plan: plan, recorder: recorder, pods: numbers)
        let running = fleet.map { pod in Task { await pod.run(workload, plan) } }
        await self.measure(plan, recorder, sampler)
        for task in running { task.cancel() }
        var outcome = Outcome()
        for task in running {
            let (made, spend) = await task.value
            outcome.made += made
            outcome.spend += spend
        }
        while try await store.fold() > 0 {}
        outcome.differences = try await store.verify()
        let total = try await store.counter(.total)
        if total.requests != outcome.made || total.spend.rawValue != outcome.spend {
            outcome.differences.append(
                "\(outcome.made) calls for \(outcome.spend) were made, \(total.requests) for "
                    + "\(total.spend.rawValue) are counted")
        }
        return outcome
    }

    private func baseline(_ design: BaselineDesign, _ recorder: Recorder) async throws -> Outcome {
        try PlainConnection(self.url, name: "schema").run(BaselineDesign.schema)
        let workload = Workload()
        let plan = self.makePlan()
        let stopped = Stop()
        let sampler = Sampler(url: self.url, plan: plan, recorder: recorder, pods: [:])
        let running = (0..<self.pods).map { index in
            let url = self.url
            return onThread {
                do {
                    var pod = try BaselinePod(
                        design: design, index: index, url: url, workload: workload, plan: plan, recorder: recorder,
                        stopped: stopped)
                    return try pod.run()
                } catch {
                    recorder.failed("pod\(index): \(error)")
                    return (made: Int64(0), spend: Int64(0))
                }
            }
        }
        await self.measure(plan, recorder, sampler)
        stopped.raise()
        var outcome = Outcome()
        for task in running {
            let (made, spend) = await task.value
            outcome.made += made
            outcome.spend += spend
        }
        let connection = try PlainConnection(self.url, name: "check")
        outcome.differences = try connection.run(BaselineDesign.check).map { $0[0] }
        let rows = try connection.run("SELECT count(*), coalesce(sum(spend), 0) FROM baseline.spend_log")[0]
        if rows != ["\(outcome.made)", "\(outcome.spend)"] {
            outcome.differences.append("\(outcome.made) calls for \(outcome.spend) were made; rows have \(rows)")
        }
        return outcome
    }

    /// Warms up, then opens the window for the time asked for; says so to whoever measures the server.
    private func measure(_ plan: Plan, _ recorder: Recorder, _ sampler: Sampler) async {
        let process = Mutex<Int32?>(nil)
        let sampling = onThread { sampler.run { id in process.withLock { $0 = id } } }
        try? await Task.sleep(for: .nanoseconds(plan.began - monotonicNow()) + .seconds(Plan.warmUpSeconds))
        recorder.open()
        Self.say("begin \(process.withLock { $0 } ?? 0)")
        try? await Task.sleep(for: .seconds(plan.seconds))
        recorder.close()
        Self.say("end")
        sampler.stop()
        await sampling.value
    }

    private func report(_ figures: Recorder.Figures, _ outcome: Outcome) throws {
        let samples = figures.lockSamples
        let report = Report(
            events: figures.events, seconds: Double(self.secs), commits: figures.commits.count,
            commitP50: Recorder.Figures.percentile(figures.commits, 0.5),
            commitP99: Recorder.Figures.percentile(figures.commits, 0.99),
            folds: figures.folds.count, foldP99: Recorder.Figures.percentile(figures.folds, 0.99),
            lagP50: figures.lag(0.5), lagP99: figures.lag(0.99), retries: figures.retries,
            lockWaitsMean: samples.isEmpty ? 0 : Double(samples.reduce(0, +)) / Double(samples.count),
            lockWaitsMax: samples.max() ?? 0, connectionsMax: figures.connectionsMax, made: outcome.made,
            differences: outcome.differences, failures: figures.failures)
        Self.say(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
    }

    private static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}

/// Milliseconds, and counts.
private struct Report: Encodable {
    let events: Int
    let seconds: Double
    let commits: Int
    let commitP50: Double
    let commitP99: Double
    let folds: Int
    let foldP99: Double
    let lagP50: Double
    let lagP99: Double
    let retries: Int
    let lockWaitsMean: Double
    let lockWaitsMax: Int
    let connectionsMax: Int
    let made: Int64
    let differences: [String]
    let failures: [String]
}

/// Runs blocking work on a thread of its own.
private func onThread<Value: Sendable>(_ work: @escaping @Sendable () -> Value) -> Task<Value, Never> {
    let (values, continuation) = AsyncStream.makeStream(of: Value.self)
    let thread = Thread {
        continuation.yield(work())
        continuation.finish()
    }
    thread.stackSize = 1 << 20
    thread.start()
    return Task {
        for await value in values { return value }
        preconditionFailure("a thread ended without its value")
    }
}
