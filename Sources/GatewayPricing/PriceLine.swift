import GatewayCore

/// One line of the catalogue: name, provider, mode, most input tokens, most output tokens, then the rates, separated
/// by tabs. Split by bytes, not by characters: a combining mark after a tab would hide it.
struct PriceLine {
    let name: String
    let provider: String
    let mode: ModelMode
    let maxInputTokens: Int64?
    let maxOutputTokens: Int64?
    let rates: [Rate]

    /// Longer lines are refused: the longest shipped one has about a thousand bytes.
    static let bytesMax = 16_384
    private static let fixedFields = 5

    private typealias Bytes = Substring.UTF8View

    /// - Throws: what is wrong with the line, without its number.
    init(parsing line: String) throws(PriceLineFault) {
        guard line.utf8.count <= Self.bytesMax else { throw PriceLineFault("longer than \(Self.bytesMax) bytes") }
        let fields = line[...].utf8.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
        guard fields.count >= Self.fixedFields else {
            throw PriceLineFault(
                "\(fields.count) fields; name, provider, mode, input tokens and output tokens, separated by tabs, "
                    + "are the least")
        }
        guard Self.isName(fields[0]) else { throw PriceLineFault("the name is empty or has blanks or control bytes") }
        guard Self.isName(fields[1]) else { throw PriceLineFault("the provider is empty or has blanks") }
        guard let mode = ModelMode(rawValue: String(Substring(fields[2]))) else {
            throw PriceLineFault("unknown mode \"\(Substring(fields[2]))\"; use chat, embedding, ... or other")
        }
        self.name = String(Substring(fields[0]))
        self.provider = String(Substring(fields[1]))
        self.mode = mode
        self.maxInputTokens = try Self.limit(fields[3], "input tokens")
        self.maxOutputTokens = try Self.limit(fields[4], "output tokens")
        var rates: [Rate] = []
        rates.reserveCapacity(fields.count - Self.fixedFields)
        for field in fields.dropFirst(Self.fixedFields) {
            let rate = try Self.rate(field)
            if rates.contains(where: { $0.isSameCell(as: rate) }) {
                throw PriceLineFault("\"\(Substring(field))\" gives a rate for the second time; remove one")
            }
            rates.append(rate)
        }
        self.rates = rates
    }

    func price(version: String) -> ModelPrice {
        ModelPrice(
            name: self.name, provider: self.provider, mode: self.mode, maxInputTokens: self.maxInputTokens,
            maxOutputTokens: self.maxOutputTokens, rates: self.rates, version: version)
    }

    /// The line of `price`, without a newline; parsing it gives the same price back.
    static func text(of price: ModelPrice) -> String {
        var fields = [price.name, price.provider, price.mode.rawValue]
        fields.append(price.maxInputTokens.map { String($0) } ?? "-")
        fields.append(price.maxOutputTokens.map { String($0) } ?? "-")
        return (fields + price.rates.map(\.text)).joined(separator: "\t")
    }

    private static func isName(_ text: Bytes) -> Bool {
        !text.isEmpty && text.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    private static func limit(_ text: Bytes, _ what: String) throws(PriceLineFault) -> Int64? {
        if text.count == 1, text.first == UInt8(ascii: "-") { return nil }
        guard let value = self.number(text), value <= 1 << 53 else {
            throw PriceLineFault("\"\(Substring(text))\" as the most \(what); use a whole number, or - if not known")
        }
        return value
    }

    private static func rate(_ field: Bytes) throws(PriceLineFault) -> Rate {
        guard let equals = field.firstIndex(of: UInt8(ascii: "=")) else {
            throw PriceLineFault("\"\(Substring(field))\" is not NAME=PICODOLLARS")
        }
        var place = field[..<equals]
        var tier = ServiceTier.standard
        if let at = place.firstIndex(of: UInt8(ascii: "@")) {
            let name = Substring(place[place.index(after: at)...])
            guard let named = ServiceTier.allCases.first(where: { $0.name == name }), named != .standard else {
                throw PriceLineFault(
                    "unknown tier \"\(name)\" in \"\(Substring(field))\"; use flex, priority or batch")
            }
            tier = named
            place = place[..<at]
        }
        var threshold: Int64 = 0
        if let above = place.firstIndex(of: UInt8(ascii: ">")) {
            guard let value = self.number(place[place.index(after: above)...]), value > 0, value <= 1 << 53 else {
                throw PriceLineFault("the threshold in \"\(Substring(field))\" is not a whole number above 0")
            }
            threshold = value
            place = place[..<above]
        }
        guard let kind = RateKind(name: String(Substring(place))) else {
            throw PriceLineFault("unknown rate \"\(Substring(place))\"; docs/prices.md lists them")
        }
        guard kind.isPerToken || (tier == .standard && threshold == 0) else {
            throw PriceLineFault("\"\(Substring(field))\": only rates per token have tiers and thresholds")
        }
        guard let value = self.number(field[field.index(after: equals)...]), value <= Rate.picodollarsMax else {
            throw PriceLineFault(
                "the value of \"\(Substring(field))\" is not a whole number up to \(Rate.picodollarsMax)")
        }
        return Rate(kind: kind, tier: tier, aboveInputTokens: threshold, picodollars: value)
    }

    /// Digits alone: a sign, a blank or a point is refused, as is what does not fit.
    private static func number(_ text: Bytes) -> Int64? {
        var value: Int64 = 0
        for byte in text {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (scaled, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = scaled.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
            if overflowed || carried { return nil }
            value = sum
        }
        return text.isEmpty ? nil : value
    }
}

/// What is wrong with one line.
struct PriceLineFault: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}
