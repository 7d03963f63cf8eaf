import Foundation

/// Runs each job on a thread of its own, so that tests which wait for sockets do not hold up the small pool of threads
/// that all tasks share, the gateway's among them; and the test stays the current one, as it would not on a bare thread.
final class BlockingExecutor: TaskExecutor {
    static let shared = BlockingExecutor()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let thread = Thread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        thread.stackSize = 1 << 20
        thread.start()
    }
}
