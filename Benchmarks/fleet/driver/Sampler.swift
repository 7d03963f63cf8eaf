import Glibc
import Synchronization

/// Looks at the server from a connection of its own, whose process is left out of the server's CPU time: which sessions
/// wait for locks, how many connections a pod has and, of Martlet, when a call has reached the counters.
final class Sampler: Sendable {
    private static let interval: Int64 = 25_000_000
    private static let locks = """
        SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), (
            SELECT coalesce(max(n), 0) FROM (
                SELECT count(*) AS n FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'pod%' GROUP BY application_name
            ) p
        ) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pod%'
        """
    private static let positions = """
        SELECT s.journal, f.folded FROM martlet.fold_position f JOIN martlet.stream s USING (stream_id)
        """

    private let url: String
    private let plan: Plan
    private let recorder: Recorder
    /// Numbers of the pods by their journals' identifiers; empty for a baseline.
    private let pods: [String: Int]
    private let stopped = Atomic<Bool>(false)

    init(url: String, plan: Plan, recorder: Recorder, pods: [String: Int]) {
        self.url = url
        self.plan = plan
        self.recorder = recorder
        self.pods = pods
    }

    func stop() { self.stopped.store(true, ordering: .relaxed) }

    /// Blocks its thread until `stop`.
    /// - Parameter started: gets the process that serves the sampler.
    func run(started: (Int32) -> Void) {
        do {
            let connection = try PlainConnection(self.url, name: "sampler")
            let process = try connection.run("SELECT pg_backend_pid()")
            started(Int32(process[0][0]) ?? 0)
            var folded = [Int64](repeating: 0, count: self.plan.pods)
            var round = 0
            while !self.stopped.load(ordering: .relaxed) {
                if !self.pods.isEmpty { try self.look(connection, &folded) }
                if round % 4 == 0 {
                    let row = try connection.run(Self.locks)[0]
                    self.recorder.sampled(lockWaits: Int(row[0]) ?? 0, connections: Int(row[1]) ?? 0)
                }
                round += 1
                sleepUntil(monotonicNow() + Self.interval)
            }
        } catch {
            self.recorder.failed("sampler: \(error)")
            started(0)
        }
    }

    private func look(_ connection: PlainConnection, _ folded: inout [Int64]) throws {
        for row in try connection.run(Self.positions) {
            guard let pod = self.pods[row[0]], let position = Int64(row[1]), position > folded[pod] else { continue }
            self.recorder.counted(folded[pod]..<position, of: self.plan)
            folded[pod] = position
        }
    }
}

/// Blocks the thread.
func sleepUntil(_ time: Int64) {
    let left = time - monotonicNow()
    guard left > 0 else { return }
    var duration = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
    nanosleep(&duration, nil)
}
