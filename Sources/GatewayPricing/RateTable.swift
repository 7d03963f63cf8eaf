import GatewayCore

/// Fills the gaps between given cells; the rules stand at `ModelPrice`.
struct RateTable {
    let rates: [Rate]
    /// Ascending; the first is 0.
    let thresholds: [Int64]
    /// Picodollars of the rates per token; -1: not given.
    private var cells: [Int64]

    init(_ given: [Rate]) {
        // Sorted by cell, of equal cells the first given first, so that the last of a run is the one that counts.
        let sorted = given.enumerated().sorted { a, b in
            a.element.precedes(b.element) || (a.element.isSameCell(as: b.element) && a.offset < b.offset)
        }.map(\.element)
        let rates = sorted.indices.filter { $0 == sorted.count - 1 || !sorted[$0].isSameCell(as: sorted[$0 + 1]) }
            .map { sorted[$0] }
        let perToken = rates.filter(\.kind.isPerToken)
        let thresholds = Set(perToken.map(\.aboveInputTokens)).union([0]).sorted()
        self.rates = rates
        self.thresholds = thresholds
        self.cells = Array(repeating: -1, count: thresholds.count * Self.cellsPerLevel)
        for rate in perToken {
            guard let level = thresholds.firstIndex(of: rate.aboveInputTokens) else { continue }
            self.cells[Self.index(rate.kind, tier: rate.tier, level: level)] = rate.picodollars
        }
    }

    /// - Parameter level: index of the threshold.
    func tokenRates(tier: ServiceTier, level: Int) -> TokenRates {
        func given(_ kind: RateKind) -> UInt64? { self.halfPicodollars(kind, tier: tier, level: level) }
        var result = TokenRates()
        result.input = given(.input) ?? 0
        result.cacheRead = given(.cacheRead) ?? result.input
        result.cacheWrite = given(.cacheWrite) ?? result.input
        result.cacheWriteLong = given(.cacheWriteLong) ?? result.cacheWrite
        result.audioInput = given(.audioInput) ?? result.input
        result.imageInput = given(.imageInput) ?? result.input
        result.output = given(.output) ?? 0
        result.reasoningOutput = given(.reasoningOutput) ?? result.output
        result.audioOutput = given(.audioOutput) ?? result.output
        result.imageOutput = given(.imageOutput) ?? result.output
        return result
    }

    /// The cell itself, or the nearest that stands in for it: first at the same threshold, then at the ones below.
    /// `nil`: the kind is not in the list.
    private func halfPicodollars(_ kind: RateKind, tier: ServiceTier, level: Int) -> UInt64? {
        for level in stride(from: level, through: 0, by: -1) {
            if let cell = self.cell(kind, tier: tier, level: level) { return UInt64(cell) * 2 }
            if let cell = self.cell(kind, tier: .standard, level: level) {
                return tier == .batch ? UInt64(cell) : UInt64(cell) * 2
            }
        }
        return nil
    }

    private func cell(_ kind: RateKind, tier: ServiceTier, level: Int) -> Int64? {
        let value = self.cells[Self.index(kind, tier: tier, level: level)]
        return value < 0 ? nil : value
    }

    /// By threshold, then by kind, then by tier.
    private static func index(_ kind: RateKind, tier: ServiceTier, level: Int) -> Int {
        level * self.cellsPerLevel + Int(kind.rawValue) * ServiceTier.allCases.count + Int(tier.rawValue)
    }

    private static let cellsPerLevel = (Int(RateKind.imageOutput.rawValue) + 1) * ServiceTier.allCases.count
}
