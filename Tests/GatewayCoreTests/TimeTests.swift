import GatewayCore
import Testing

@Suite("Time")
struct TimeTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let day, year, month, date: Int64
        var testDescription: String { "\(self.year)-\(self.month)-\(self.date)" }
    }

    /// Days from an almanac: leap years, centuries, ends of months, and before 1970.
    static let samples: [Sample] = [
        Sample(day: 0, year: 1970, month: 1, date: 1), Sample(day: -1, year: 1969, month: 12, date: 31),
        Sample(day: 58, year: 1970, month: 2, date: 28), Sample(day: 59, year: 1970, month: 3, date: 1),
        Sample(day: 789, year: 1972, month: 2, date: 29), Sample(day: 790, year: 1972, month: 3, date: 1),
        Sample(day: 10_956, year: 1999, month: 12, date: 31), Sample(day: 10_957, year: 2000, month: 1, date: 1),
        Sample(day: 11_016, year: 2000, month: 2, date: 29), Sample(day: 11_017, year: 2000, month: 3, date: 1),
        Sample(day: 20_779, year: 2026, month: 11, date: 22), Sample(day: 19_782, year: 2024, month: 2, date: 29),
        Sample(day: 47_540, year: 2100, month: 2, date: 28), Sample(day: 47_541, year: 2100, month: 3, date: 1),
        Sample(day: -25_509, year: 1900, month: 2, date: 28), Sample(day: -25_508, year: 1900, month: 3, date: 1),
        Sample(day: -719_162, year: 1, month: 1, date: 1), Sample(day: -719_468, year: 0, month: 3, date: 1),
        Sample(day: 2_932_896, year: 9999, month: 12, date: 31),
    ]

    @Test("of a day is its civil date, and back", arguments: Self.samples)
    func civilDates(sample: Sample) {
        let date = civilDate(day: sample.day)
        #expect(date == (sample.year, sample.month, sample.date))
        #expect(dayNumber(year: sample.year, month: sample.month, date: sample.date) == sample.day)
    }

    @Test("goes through every day of 800 years without a gap")
    func everyDay() {
        var former = civilDate(day: -146_098)
        for day in Int64(-146_097)...146_097 {
            let date = civilDate(day: day)
            let isNextDay = date == (former.year, former.month, former.date + 1)
            let isNextMonth = date == (former.year, former.month + 1, 1)
            let isNextYear = date == (former.year + 1, 1, 1) && former.month == 12 && former.date == 31
            guard isNextDay || isNextMonth || isNextYear, dayNumber(year: date.0, month: date.1, date: date.2) == day
            else {
                Issue.record("day \(day): \(date) follows \(former)")
                return
            }
            former = date
        }
    }

    @Test(
        "is written as RFC 3339 in UTC with microseconds",
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
            (1_795_367_022_123_456, "2026-11-22T17:03:42.123456Z"),
            (951_827_696_000_007, "2000-02-29T12:34:56.000007Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] as [(Int64, String)])
    func text(microseconds: Int64, text: String) {
        #expect(UnixMicroseconds(rawValue: microseconds).iso8601 == text)
    }

    @Test("before 1970 belongs to the day that holds it")
    func days() {
        #expect(UnixMicroseconds(rawValue: -1).day == -1)
        #expect(UnixMicroseconds(rawValue: -86_400_000_000).day == -1)
        #expect(UnixMicroseconds(rawValue: -86_400_000_001).day == -2)
        #expect(UnixMicroseconds(rawValue: 86_399_999_999).day == 0)
        #expect(UnixMicroseconds(rawValue: 0).advanced(bySeconds: 86_400).day == 1)
    }
}
