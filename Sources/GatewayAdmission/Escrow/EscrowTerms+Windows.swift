import Foundation
import GatewayCore

extension LimitTerms.Window {
    /// Microseconds that one window number stands for: a fixed window, or a slice of a sliding one.
    package var bucketMicroseconds: Int64 {
        switch self {
        case .minute: 60_000_000
        case .day: 86_400_000_000
        case .slidingMinute: 500_000
        case .slidingDay: 600_000_000
        }
    }

    /// Microseconds that the limit is for.
    package var lengthMicroseconds: Int64 {
        switch self {
        case .minute, .slidingMinute: 60_000_000
        case .day, .slidingDay: 86_400_000_000
        }
    }

    /// A pod uses what it was granted of a sliding window for so long, microseconds; then it has to ask anew.
    package static let slidingHoldMicroseconds: Int64 = 1_000_000

    /// How many buckets, the current one included, the limit is for. What is used at any moment was counted in the slice
    /// of that moment, or of one `slidingHoldMicroseconds` before it at most: so many slices do any 60 seconds (24 hours)
    /// touch, with that time before them.
    package var bucketCount: Int {
        switch self {
        case .minute, .day: 1
        case .slidingMinute, .slidingDay:
            Int(
                (self.lengthMicroseconds + Self.slidingHoldMicroseconds + self.bucketMicroseconds - 1)
                    / self.bucketMicroseconds) + 1
        }
    }

    /// The window's number since 1970 in UTC, from 1.
    package func number(at now: UnixMicroseconds) -> Int64 { max(1, now.rawValue / self.bucketMicroseconds) }
}

extension EscrowTerms {
    /// The window that holds `now`, microseconds; the end is `Int64.max` when it never ends.
    package func bounds(at now: UnixMicroseconds) -> (start: Int64, end: Int64) {
        switch self.window {
        case .rate(let window) where window.isSliding:
            // By then all of it is there again, whatever has been used.
            return (now.rawValue - window.lengthMicroseconds, now.rawValue + window.lengthMicroseconds)
        case .rate(let window):
            let start = window.number(at: now) * window.bucketMicroseconds
            return (start, start + window.bucketMicroseconds)
        case .budget(.lifetime): return (0, .max)
        case .budget(.rolling(let seconds, let anchor)):
            let length = max(1, min(seconds, 100 * 366 * 86_400)) * 1_000_000
            let past = now.rawValue - anchor.rawValue
            let whole = past >= 0 ? past / length : (past - length + 1) / length
            let start = anchor.rawValue + whole * length
            return (start, start + length)
        case .budget(.calendar(let unit, let count, let timeZone)):
            return Self.calendarBounds(unit, count: max(1, min(count, 1000)), timeZone: timeZone, at: now)
        }
    }

    /// Days count from 1970-01-01, weeks from Monday 1970-01-05, months from January 1970, each at local midnight, so
    /// that all pods agree. A time zone that this machine does not know is taken for UTC.
    private static func calendarBounds(
        _ unit: BudgetWindow.CalendarUnit, count: Int, timeZone: String, at now: UnixMicroseconds
    ) -> (start: Int64, end: Int64) {
        let zone = TimeZone(identifier: timeZone) ?? .gmt
        func offset(at seconds: Int64) -> Int64 {
            Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))))
        }
        /// The moment of local midnight of a day count.
        func midnight(day: Int64) -> Int64 {
            let local = day * 86_400
            // Twice, for the days on which the offset changes.
            let guess = local - offset(at: local)
            return (local - offset(at: guess)) * 1_000_000
        }
        let seconds = now.rawValue / 1_000_000
        let today = UnixMicroseconds(rawValue: (seconds + offset(at: seconds)) * 1_000_000).day
        let length = Int64(count)
        switch unit {
        case .day:
            let first = today - floorModulo(today, length)
            return (midnight(day: first), midnight(day: first + length))
        case .week:
            let first = today - floorModulo(today - 4, 7 * length)
            return (midnight(day: first), midnight(day: first + 7 * length))
        case .month:
            let (year, month, _) = civilDate(day: today)
            let index = (year - 1970) * 12 + month - 1
            let first = index - floorModulo(index, length)
            func start(_ index: Int64) -> Int64 {
                let months = floorModulo(index, 12)
                return midnight(day: dayNumber(year: 1970 + (index - months) / 12, month: months + 1, date: 1))
            }
            return (start(first), start(first + length))
        }
    }
}

private func floorModulo(_ a: Int64, _ b: Int64) -> Int64 { ((a % b) + b) % b }
