import CMartlet
import Dispatch
import Glibc
import Synchronization

/// A thread of its own for work that nobody waits for: it gives way to event loops that share its core, and blocking it
/// holds up no other task. Tasks run on it by preference (`withTaskExecutorPreference`, `Task(executorPreference:)`),
/// in the order in which they come. The thread ends when the executor goes and nothing is left to run.
///
/// Threads of Swift's pool cannot serve for this: how the kernel treats a thread belongs to the thread, and without a
/// privilege it can be made worse but never good again.
package final class BackgroundThread: TaskExecutor {
    /// What the thread leaves to others on a core that event loops keep busy.
    package enum Share: Sendable {
        /// Takes 1.5 % of such a core, enough for group syncs and for shipping some thousand rows a second. More is
        /// felt: what a thread is entitled to it may take in one piece, while a call waits.
        case least
        /// Takes a quarter, for work that has fallen behind.
        case quarter

        /// The kernel's weights of nice 19 and 5 are 15 and 335, of nice 0 1,024.
        fileprivate var nice: Int32 {
            switch self {
            case .least: 19
            case .quarter: 5
            }
        }
    }

    private let queue: JobQueue

    /// - Parameter name: what `ps` shows, at most 15 bytes.
    /// - Throws: `.unavailable`: the system gives no thread.
    package init(name: String, share: Share) throws(LedgerError) {
        self.queue = JobQueue(name: name, share: share)
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self.queue)
        let code = pthread_create(&thread, nil, runJobs, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw .unavailable("the system gives no thread for \(name) (error \(code)): raise the limit of threads")
        }
        pthread_detach(thread)
    }

    deinit { self.queue.stop() }

    package func enqueue(_ job: consuming ExecutorJob) {
        self.queue.add(UnownedJob(job), for: self.asUnownedTaskExecutor())
    }

    /// Names the calling thread and makes it give way from now on. Where the kernel refuses, it stays as it is:
    /// background work may then hold up calls for some milliseconds.
    static func become(_ name: String, _ share: Share) {
        cmartlet_name_thread(name)
        _ = cmartlet_prefer_others(share.nice)
    }

    fileprivate static func run(_ argument: UnsafeMutableRawPointer) {
        Unmanaged<JobQueue>.fromOpaque(argument).takeRetainedValue().run()
    }
}

private func runJobs(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { BackgroundThread.run(argument) }
    return nil
}

/// Jobs that wait for the thread.
private final class JobQueue: Sendable {
    private struct State {
        var jobs: [(job: UnownedJob, executor: UnownedTaskExecutor)] = []
        var isStopping = false
    }

    private let name: String
    private let share: BackgroundThread.Share
    private let state = Mutex(State())
    /// Signalled when jobs come to an empty queue, and at the end.
    private let arrival = DispatchSemaphore(value: 0)

    init(name: String, share: BackgroundThread.Share) {
        self.name = name
        self.share = share
    }

    func add(_ job: UnownedJob, for executor: UnownedTaskExecutor) {
        let isFirst = self.state.withLock { state in
            state.jobs.append((job, executor))
            return state.jobs.count == 1
        }
        if isFirst { self.arrival.signal() }
    }

    func stop() {
        self.state.withLock { $0.isStopping = true }
        self.arrival.signal()
    }

    func run() {
        BackgroundThread.become(self.name, self.share)
        while true {
            let (jobs, isStopping) = self.state.withLock { state in
                defer { state.jobs.removeAll(keepingCapacity: true) }
                return (state.jobs, state.isStopping)
            }
            for entry in jobs { entry.job.runSynchronously(on: entry.executor) }
            if jobs.isEmpty {
                if isStopping { return }
                self.arrival.wait()
            }
        }
    }
}
