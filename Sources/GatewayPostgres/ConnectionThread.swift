import Glibc
import Synchronization

/// A thread of its own for one connection: libpq waits in system calls, which must not hold up the threads that all
/// other tasks share. The thread ends when the executor goes.
final class ConnectionThread: SerialExecutor {
    private let queue: JobQueue

    /// - Throws: when the system gives no pipe or thread.
    init() throws(PostgresError) {
        guard let queue = JobQueue() else {
            throw PostgresError(.unreachable, "The system gave no pipe for a database connection (\(errno)).")
        }
        self.queue = queue
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(queue)
        let code = pthread_create(&thread, nil, runJobs, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw PostgresError(.unreachable, "The system gave no thread for a database connection (\(code)).")
        }
        pthread_detach(thread)
    }

    deinit { self.queue.stop() }

    func enqueue(_ job: consuming ExecutorJob) {
        self.queue.add(UnownedJob(job), for: self.asUnownedSerialExecutor())
    }
}

private func runJobs(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Unmanaged<JobQueue>.fromOpaque(argument).takeRetainedValue().run() }
    return nil
}

/// Jobs that wait for the thread, and a pipe that wakes it.
private final class JobQueue: Sendable {
    private struct State {
        var jobs: [(job: UnownedJob, executor: UnownedSerialExecutor)] = []
        var isStopping = false
    }

    private let state = Mutex(State())
    private let readEnd: Int32
    private let writeEnd: Int32

    /// `nil`: no pipe.
    init?() {
        guard let ends = makePipe() else { return nil }
        (self.readEnd, self.writeEnd) = ends
    }

    deinit {
        close(self.readEnd)
        close(self.writeEnd)
    }

    func add(_ job: UnownedJob, for executor: UnownedSerialExecutor) {
        let wasEmpty = self.state.withLock { state in
            state.jobs.append((job, executor))
            return state.jobs.count == 1
        }
        if wasEmpty { self.wake() }
    }

    func stop() {
        self.state.withLock { $0.isStopping = true }
        self.wake()
    }

    private func wake() {
        var byte: UInt8 = 1
        while write(self.writeEnd, &byte, 1) < 0, errno == EINTR {}
    }

    /// Runs jobs in their order until `stop`.
    func run() {
        while true {
            let (jobs, isStopping) = self.state.withLock { state in
                defer { state.jobs.removeAll(keepingCapacity: true) }
                return (state.jobs, state.isStopping)
            }
            for entry in jobs { entry.job.runSynchronously(on: entry.executor) }
            if jobs.isEmpty {
                if isStopping { return }
                var bytes: (UInt64, UInt64) = (0, 0)
                _ = read(self.readEnd, &bytes, 16)
            }
        }
    }
}

/// Both ends close when another program is started. `nil`: the system has none left.
func makePipe() -> (readEnd: Int32, writeEnd: Int32)? {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { return nil }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}
