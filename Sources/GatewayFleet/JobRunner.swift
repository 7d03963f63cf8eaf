import GatewayLedger
import Logging
import Synchronization

/// Work that one pod of the fleet does for all. It may run twice when a lease changes hands, so it must be idempotent;
/// what it writes is decided by compare-and-set in the store.
package struct PeriodicJob: Sendable {
    package var name: String
    /// From the end of one run to the next; the first run comes with the lease.
    package var interval: Duration
    /// Stops when its task is cancelled, because the lease was lost.
    /// - Returns: one sentence for each thing done, for the log.
    package var run: @Sendable (JobLease) async throws(LedgerError) -> [String]

    package init(
        name: String, interval: Duration,
        run: @escaping @Sendable (JobLease) async throws(LedgerError) -> [String]
    ) {
        self.name = name
        self.interval = interval
        self.run = run
    }
}

/// Does the fleet's periodic jobs while this pod holds the lease for them, and tries to get it while it does not.
///
///     waiting ──claim granted──► serving: jobs run, the lease is renewed three times in its life
///        ▲                          │ claim refused, other epoch, or no answer until the term is nearly over
///        └── jobs are cancelled ◄───┘
package final class JobRunner: Sendable {
    private let store: any FleetStore
    private let podID: PodID
    private let leaseName: String
    private let jobs: [PeriodicJob]
    private let configuration: FleetConfiguration
    private let time: FleetTime
    private let pacer: Pacer
    private let logger: Logger
    private let serving = Atomic<Bool>(false)

    package init(
        store: any FleetStore, podID: PodID, leaseName: String, jobs: [PeriodicJob],
        configuration: FleetConfiguration, time: FleetTime, generator: any RandomNumberGenerator & Sendable,
        logger: Logger
    ) {
        self.store = store
        self.podID = podID
        self.leaseName = leaseName
        self.jobs = jobs
        self.configuration = configuration
        self.time = time
        self.pacer = Pacer(generator)
        self.logger = logger
    }

    /// Whether this pod holds the lease.
    package var isServing: Bool { self.serving.load(ordering: .acquiring) }

    /// Runs until the task is cancelled; then the lease is given back.
    package func run() async {
        while !Task.isCancelled {
            guard let term = await self.acquire() else { return }
            self.logger.info(
                "This pod does the fleet's jobs now", metadata: [LogKey.leaseEpoch.rawValue: "\(term.lease.epoch)"])
            self.serving.store(true, ordering: .releasing)
            await self.serve(term)
            self.serving.store(false, ordering: .releasing)
            // Fails when the lease is lost, which is fine, and when the store is away: then it runs out.
            try? await self.store.release(term.lease)
        }
    }

    /// `nil`: the task was cancelled.
    private func acquire() async -> LeaseTerm? {
        var failures = 0
        while !Task.isCancelled {
            let sentAt = self.time.now()
            do throws(LedgerError) {
                let lease = try await self.store.claim(
                    self.leaseName, for: self.podID, duration: self.configuration.leaseDuration)
                if let lease {
                    return LeaseTerm(lease: lease, sentAt: sentAt, duration: self.configuration.leaseDuration)
                }
                failures = 0
            } catch {
                failures += 1
            }
            let pause =
                failures == 0
                ? self.pacer.period(self.configuration.leaseDuration / 2)
                : self.pacer.backOff(from: .milliseconds(500), failures: failures, most: self.configuration.backOffMax)
            do { try await self.time.sleep(pause) } catch { return nil }
        }
        return nil
    }

    private func serve(_ term: LeaseTerm) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keep(term) }
            // One after the other: they are short, and a pod has few connections.
            group.addTask { await self.runJobs(term.lease) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Returns when the lease is lost or the task is cancelled.
    private func keep(_ first: LeaseTerm) async {
        var term = first
        var isFailing = false
        while !Task.isCancelled {
            let pause = self.pacer.period(isFailing ? .milliseconds(250) : self.configuration.leaseDuration / 3)
            do { try await self.time.sleep(min(pause, term.timeLeft(now: self.time.now()))) } catch { return }
            let sentAt = self.time.now()
            let verdict: LeaseTerm.Verdict
            do throws(LedgerError) {
                let answer = try await self.store.claim(
                    self.leaseName, for: self.podID, duration: self.configuration.leaseDuration)
                verdict = term.renew(answer, sentAt: sentAt, duration: self.configuration.leaseDuration)
                isFailing = false
            } catch {
                verdict = term.judge(now: self.time.now())
                isFailing = true
            }
            if verdict == .lost {
                if !Task.isCancelled { self.logger.notice("The lease of the fleet's jobs is lost") }
                return
            }
        }
    }

    private func runJobs(_ lease: JobLease) async {
        var due = self.jobs.map { _ in self.time.now() }
        while !Task.isCancelled {
            guard let index = due.indices.min(by: { due[$0] < due[$1] }) else {
                do { try await self.time.sleep(self.configuration.leaseDuration) } catch { return }
                continue
            }
            let wait = due[index] - self.time.now()
            if wait > .zero { do { try await self.time.sleep(wait) } catch { return } }
            if Task.isCancelled { return }
            let isDone = await self.runJob(self.jobs[index], lease)
            let interval = self.jobs[index].interval
            due[index] =
                self.time.now() + self.pacer.period(isDone ? interval : min(interval, self.configuration.backOffMax))
        }
    }

    private func runJob(_ job: PeriodicJob, _ lease: JobLease) async -> Bool {
        do throws(LedgerError) {
            for sentence in try await job.run(lease) {
                self.logger.info(
                    "A job of the fleet was done",
                    metadata: [LogKey.jobName.rawValue: "\(job.name)", LogKey.jobResult.rawValue: "\(sentence)"])
            }
            return true
        } catch {
            self.logger.warning(
                "A job of the fleet failed",
                metadata: [LogKey.jobName.rawValue: "\(job.name)", LogKey.errorMessage.rawValue: "\(error.message)"])
            return false
        }
    }
}

/// A lease and for how long this pod may count on it. A pure value: times are handed in.
struct LeaseTerm: Sendable, Equatable {
    enum Verdict: Equatable { case held, lost }
    private(set) var lease: JobLease
    /// Monotonic. Counted from when the claim was sent, so it ends before the store gives the lease to another; a tenth
    /// is kept back for clocks that run at different speeds and for what is still on its way.
    private(set) var endsAt: Duration

    init(lease: JobLease, sentAt: Duration, duration: Duration) {
        self.lease = lease
        self.endsAt = sentAt + duration / 10 * 9
    }

    func timeLeft(now: Duration) -> Duration { max(.zero, self.endsAt - now) }

    /// No answer came: the term goes on until it ends.
    func judge(now: Duration) -> Verdict { now < self.endsAt ? .held : .lost }

    /// - Parameter answer: `nil`: another pod holds it.
    mutating func renew(_ answer: JobLease?, sentAt: Duration, duration: Duration) -> Verdict {
        // Another epoch: somebody held it meanwhile, and what we began under the former one is fenced.
        guard let answer, answer == self.lease else { return .lost }
        self.endsAt = max(self.endsAt, sentAt + duration / 10 * 9)
        return .held
    }
}
