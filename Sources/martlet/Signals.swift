import CMartlet
import Foundation
import Glibc

/// SIGTERM and SIGINT stop the pod, SIGHUP reloads its configuration. No signal is lost from `init` on: a handler of our
/// own notes it, since Dispatch takes a moment to listen, and what comes in that moment is gone.
final class Signals: Sendable {
    enum Event: Sendable { case stop, reload }

    let stream: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation

    /// Once in a process.
    init() throws(StartError) {
        let descriptor = cmartlet_watch_signals([SIGTERM, SIGINT, SIGHUP], 3)
        guard descriptor >= 0 else {
            throw StartError(
                message: "Signals cannot be watched: \(String(cString: strerror(errno))). Raise the limit of open "
                    + "files.")
        }
        // Signals beyond these say nothing new.
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingOldest(8))
        self.stream = stream
        self.continuation = continuation
        let thread = Thread {
            cmartlet_name_thread("signals")
            while true {
                var number: UInt8 = 0
                let count = read(descriptor, &number, 1)
                guard count == 1 || errno == EINTR else { return }
                if count == 1 { continuation.yield(CInt(number) == SIGHUP ? .reload : .stop) }
            }
        }
        thread.stackSize = 256 << 10
        thread.start()
    }

    func end() { self.continuation.finish() }
}

enum ProcessLimits {
    /// A broken pipe is an error of one write, not the end of the process; and each connection is a descriptor.
    static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
