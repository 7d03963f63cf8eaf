import Dispatch
import Glibc

/// SIGTERM and SIGINT stop the pod, SIGHUP reloads its configuration.
final class Signals {
    enum Event: Sendable { case stop, reload }

    let stream: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let sources: [any DispatchSourceSignal]

    init() {
        // Signals beyond these say nothing new.
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingOldest(8))
        self.stream = stream
        self.continuation = continuation
        let queue = DispatchQueue(label: "martlet.signals")
        self.sources = [(SIGTERM, Event.stop), (SIGINT, .stop), (SIGHUP, .reload)].map { number, event in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { continuation.yield(event) }
            source.resume()
            return source
        }
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
