import Glibc

/// A point in monotonic time; only differences mean something.
struct MonotonicTime: Sendable, Comparable {
    var nanoseconds: Int64

    static var now: MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.nanoseconds < b.nanoseconds }

    func advanced(by duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: self.nanoseconds + duration.wholeMicroseconds * 1000)
    }

    /// Milliseconds from now until then for `poll`, rounded up; 0 once it has passed.
    var millisecondsLeft: Int32 {
        Int32(clamping: max(0, (self.nanoseconds - Self.now.nanoseconds + 999_999) / 1_000_000))
    }
}

extension Duration {
    /// Stops at the ends of what fits when scaled to nanoseconds (about 290 years).
    var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let clamped = min(max(seconds, -9_000_000_000), 9_000_000_000)
        return clamped * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
