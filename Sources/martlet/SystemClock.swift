import GatewayCore
import Glibc

/// The system's time of day; the one place where it is read.
struct SystemClock: WallClock {
    func now() -> UnixMicroseconds {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixMicroseconds(rawValue: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
