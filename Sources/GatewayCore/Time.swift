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

extension UnixMicroseconds {
    /// Reads `2026-11-22`, `2026-11-22T17:03:42`, with a fraction, with `Z` or an offset such as `+01:00` or without
    /// (then UTC). `nil`: other text, or no such time.
    package init?(iso8601 text: String) {
        let bytes = Array(text.utf8)
        func number(_ start: Int, _ count: Int) -> Int64? {
            guard start + count <= bytes.count else { return nil }
            return bytes[start..<start + count].reduce(Int64?(0)) { sum, byte in
                guard let sum, (0x30...0x39).contains(byte) else { return nil }
                return sum * 10 + Int64(byte - 0x30)
            }
        }
        func has(_ byte: Unicode.Scalar, at place: Int) -> Bool {
            place < bytes.count && bytes[place] == UInt8(ascii: byte)
        }
        guard let year = number(0, 4), has("-", at: 4), let month = number(5, 2), has("-", at: 7),
            let date = number(8, 2), (1...12).contains(month), (1...31).contains(date)
        else { return nil }
        let day = dayNumber(year: year, month: month, date: date)
        guard civilDate(day: day) == (year, month, date) else { return nil }
        var microseconds = day * 86_400_000_000
        var place = 10
        if place < bytes.count {
            guard has("T", at: 10) || has(" ", at: 10), let hour = number(11, 2), has(":", at: 13),
                let minute = number(14, 2), hour < 24, minute < 60
            else { return nil }
            microseconds += (hour * 60 + minute) * 60_000_000
            place = 16
            if has(":", at: 16) {
                guard let second = number(17, 2), second < 61 else { return nil }
                microseconds += second * 1_000_000
                place = 19
            }
            if has(".", at: place) {
                place += 1
                var unit: Int64 = 100_000
                while let digit = number(place, 1) {
                    microseconds += digit * unit
                    unit /= 10
                    place += 1
                }
            }
            if has("Z", at: place) {
                place += 1
            } else if has("+", at: place) || has("-", at: place) {
                guard let hours = number(place + 1, 2), hours < 24 else { return nil }
                let isSplit = has(":", at: place + 3)
                guard let minutes = number(place + (isSplit ? 4 : 3), 2), minutes < 60 else { return nil }
                let offset = (hours * 60 + minutes) * 60_000_000
                microseconds += has("+", at: place) ? -offset : offset
                place += isSplit ? 6 : 5
            }
        }
        guard place == bytes.count else { return nil }
        self.init(rawValue: microseconds)
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
