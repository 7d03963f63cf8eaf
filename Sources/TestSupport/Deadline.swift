import Foundation
import Synchronization

/// A point in monotonic time by which something must have happened. Tests of real processes wait for conditions, never
/// for a fixed time, and each wait ends at a deadline.
package struct Deadline: Sendable {
    /// Monotonic nanoseconds.
    private let end: Int64

    /// - Parameter duration: from five seconds on this is patience with something that must happen, and is stretched
    ///   by `slowness`; what is shorter belongs to what a test tells apart, and stays.
    package init(within duration: Duration) {
        let factor = duration >= .seconds(5) ? Self.slowness : 1
        self.end = Self.now + duration.nanoseconds * Int64(factor)
    }

    /// How many times slower than the ordinary build this one may be: 1, and 6 with a sanitizer in it.
    package static let slowness =
        ProcessInfo.processInfo.environment["MARTLET_SANITIZER"] == nil ? 1 : 6

    /// Milliseconds left for `poll`, rounded up; 0 once the deadline has passed.
    package var millisecondsLeft: Int32 {
        let left = self.end - Self.now
        return left <= 0 ? 0 : Int32(clamping: (left + 999_999) / 1_000_000)
    }

    package var hasPassed: Bool { Self.now >= self.end }

    /// Monotonic nanoseconds; only differences mean something.
    package static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// What a test waited for did not happen in time.
package struct DeadlinePassed: Error, CustomStringConvertible {
    package let what: String
    package init(_ what: String) { self.what = what }
    package var description: String { "waited in vain for: \(self.what)" }
}

/// Blocks the calling thread until `condition` holds, asking again every few milliseconds.
/// - Throws: `DeadlinePassed` naming `what`.
package func waitUntil(
    _ what: String, within duration: Duration = .seconds(20), _ condition: () throws -> Bool
) throws {
    let deadline = Deadline(within: duration)
    while try !condition() {
        if deadline.hasPassed { throw DeadlinePassed(what) }
        poll(nil, 0, 5)
    }
}

/// Runs blocking work on a thread of its own, so that tests which wait for processes and sockets do not hold up the
/// small pool of threads that all other tests share.
package func onOwnThread<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    let outcome = Outcome<T>()
    await withCheckedContinuation { continuation in
        let thread = Thread {
            let result = Result(catching: work)
            outcome.result.withLock { $0 = result }
            continuation.resume()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }
    guard let result = outcome.result.withLock({ $0 }) else { preconditionFailure("the thread left no result") }
    return try result.get()
}

/// What another thread leaves, under a lock: the thread sanitizer does not see what a continuation hands over that is
/// resumed before its task waits.
private final class Outcome<T: Sendable>: Sendable {
    let result = Mutex<Result<T, any Error>?>(nil)
}

extension Duration {
    /// Whole nanoseconds; durations of tests are far below the 292 years that fit.
    package var nanoseconds: Int64 {
        self.components.seconds * 1_000_000_000 + self.components.attoseconds / 1_000_000_000
    }
}
