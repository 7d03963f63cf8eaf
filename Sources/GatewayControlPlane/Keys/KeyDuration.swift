import GatewayCore

/// A length of time in LiteLLM's text: a number and `s`, `m`, `h`, `d`, `w` or `mo`.
struct KeyDuration: Equatable, Sendable {
    enum Unit: String, Sendable {
        case seconds = "s"
        case minutes = "m"
        case hours = "h"
        case days = "d"
        case weeks = "w"
        case months = "mo"
    }

    /// Longer ones are a mistake; a key without a duration never expires.
    private static let daysMax: Int64 = 36_525
    let amount: Int64
    let unit: Unit

    /// `nil`: not of this form, zero, or over a hundred years.
    init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard digits.utf8.count <= 11, let amount = Int64(digits), amount > 0,
            let unit = Unit(rawValue: String(text.dropFirst(digits.count)))
        else { return nil }
        let secondsPerUnit: Int64 =
            switch unit {
            case .seconds: 1
            case .minutes: 60
            case .hours: 3600
            case .days: 86_400
            case .weeks: 604_800
            case .months: 31 * 86_400
            }
        guard amount <= Self.daysMax * 86_400 / secondsPerUnit else { return nil }
        self.amount = amount
        self.unit = unit
    }

    /// A month later is the same day of the next month, or its last day when it has no such day.
    func added(to time: UnixMicroseconds) -> UnixMicroseconds {
        switch self.unit {
        case .seconds: return time.advanced(bySeconds: self.amount)
        case .minutes: return time.advanced(bySeconds: self.amount * 60)
        case .hours: return time.advanced(bySeconds: self.amount * 3600)
        case .days: return time.advanced(bySeconds: self.amount * 86_400)
        case .weeks: return time.advanced(bySeconds: self.amount * 604_800)
        case .months:
            let (year, month, date) = civilDate(day: time.day)
            let months = year * 12 + month - 1 + self.amount
            let (newYear, newMonth) = (months / 12, months % 12 + 1)
            let following = newMonth == 12 ? (newYear + 1, 1) : (newYear, newMonth + 1)
            let length =
                dayNumber(year: following.0, month: following.1, date: 1)
                - dayNumber(year: newYear, month: newMonth, date: 1)
            let day = dayNumber(year: newYear, month: newMonth, date: min(date, length))
            return time.advanced(bySeconds: (day - time.day) * 86_400)
        }
    }
}
