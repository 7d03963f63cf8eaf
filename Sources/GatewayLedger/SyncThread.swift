import Glibc
import Synchronization

/// Calls a function every `interval` on a thread of its own, because a sync blocks for milliseconds.
final class SyncThread: Sendable {
    private final class Context: Sendable {
        let interval: Duration
        let work: @Sendable () -> Void
        let isStopping = Atomic<Bool>(false)

        init(interval: Duration, work: @escaping @Sendable () -> Void) {
            self.interval = interval
            self.work = work
        }

        func run() {
            BackgroundThread.become("journal sync", .least)
            while !self.isStopping.load(ordering: .acquiring) {
                sleepThread(self.interval)
                self.work()
            }
        }
    }

    private let context: Context
    /// `nil`: stopped, or never started.
    private let thread: Mutex<pthread_t?>

    /// `nil`: the system gave no thread.
    init?(interval: Duration, work: @escaping @Sendable () -> Void) {
        let context = Context(interval: interval, work: work)
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(context)
        let code = pthread_create(&thread, nil, runContext, argument.toOpaque())
        if code != 0 {
            argument.release()
            return nil
        }
        self.context = context
        self.thread = Mutex(thread)
    }

    /// Returns when the thread has ended: within one interval and one call of the function.
    func stop() {
        self.context.isStopping.store(true, ordering: .releasing)
        let thread = self.thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if let thread { pthread_join(thread, nil) }
    }

    fileprivate static func run(_ argument: UnsafeMutableRawPointer) {
        Unmanaged<Context>.fromOpaque(argument).takeRetainedValue().run()
    }
}

private func runContext(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { SyncThread.run(argument) }
    return nil
}

/// Blocks this thread.
func sleepThread(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var left = timespec()
    while nanosleep(&wanted, &left) != 0, errno == EINTR { wanted = left }
}
