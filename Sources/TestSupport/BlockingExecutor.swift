import Foundation
import Testing

/// Runs each job on a thread of its own, so that tests which wait for sockets do not hold up the small pool of threads
/// that all tasks share, the gateway's among them; and the test stays the current one, as it would not on a bare thread.
package final class BlockingExecutor: TaskExecutor {
    package static let shared = BlockingExecutor()

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let thread = Thread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        thread.stackSize = 4 << 20
        thread.start()
    }
}

/// Runs the tests of a suite on threads of their own: those that block or compute for long. On the shared pool, which has
/// as many threads as the machine has processors, two of them make all others wait, and late where they have a clock.
package struct OwnThreadTrait: SuiteTrait, TestTrait, TestScoping {
    package var isRecursive: Bool { true }

    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(BlockingExecutor.shared) { try await function() }
    }
}

extension Trait where Self == OwnThreadTrait {
    package static var ownThread: Self { Self() }
}
