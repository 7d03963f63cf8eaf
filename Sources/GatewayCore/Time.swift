/// A point in time: microseconds since 1970-01-01T00:00:00Z.
package struct UnixMicroseconds: Hashable, Sendable, Comparable {
    package var rawValue: Int64

    @inlinable package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable package static func < (a: UnixMicroseconds, b: UnixMicroseconds) -> Bool { a.rawValue < b.rawValue }

    package func advanced(bySeconds seconds: Int64) -> UnixMicroseconds {
        UnixMicroseconds(rawValue: self.rawValue + seconds * 1_000_000)
    }

    /// Days since 1970-01-01 in UTC; the key of daily aggregates.
    package var day: Int64 { floorDivide(self.rawValue, 86_400_000_000) }

    /// `2026-11-22T17:03:42.123456Z` (RFC 3339, UTC).
    package var iso8601: String {
        let (year, month, date) = civilDate(day: self.day)
        let inDay = self.rawValue - self.day * 86_400_000_000
        let seconds = inDay / 1_000_000
        let fraction = inDay % 1_000_000
        func pad(_ value: Int64, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(date, 2))T\(pad(seconds / 3600, 2)):"
            + "\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2)).\(pad(fraction, 6))Z"
    }
}

/// Year, month (1...12) and day of month of a day count since 1970-01-01 (proleptic Gregorian, UTC).
package func civilDate(day: Int64) -> (year: Int64, month: Int64, date: Int64) {
    let shifted = day + 719_468
    let era = floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthIndex = (5 * dayOfYear + 2) / 153
    let date = dayOfYear - (153 * monthIndex + 2) / 5 + 1
    let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, date)
}

/// Day count since 1970-01-01 of a proleptic Gregorian date in UTC; the inverse of `civilDate`.
package func dayNumber(year: Int64, month: Int64, date: Int64) -> Int64 {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = floorDivide(shiftedYear, 400)
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + date - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
}

private func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
    let quotient = a / b
    return a % b < 0 ? quotient - 1 : quotient
}

/// Tells the time of day. Injected, so that tests drive it; the system's clock is read in one place only.
package protocol WallClock: Sendable {
    func now() -> UnixMicroseconds
}
