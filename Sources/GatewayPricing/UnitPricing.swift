import GatewayCore

/// What a call used of what is not counted in tokens. 0: nothing, or not known.
package struct UnitUsage: Hashable, Sendable {
    package var images: Int64 = 0
    /// Of all images together.
    package var pixels: Int64 = 0
    package var characters: Int64 = 0
    /// Of audio.
    package var microseconds: Int64 = 0
    package var searches: Int64 = 0

    package init() {}
}

/// The rates of a model that are not per token, picodollars per unit. `nil`: not in the price list.
///
/// Lists give the price of a unit on the side of input or of output, and often on both for the same unit: it is charged
/// once, at the higher of the two.
package struct UnitPricing: Hashable, Sendable {
    package let perImage: Int64?
    package let perPixel: Int64?
    package let perCharacter: Int64?
    package let perSecond: Int64?
    package let perSearch: Int64?
    package let perRequest: Int64?

    /// `nil`: the model is priced in tokens only.
    package init?(_ price: ModelPrice) {
        func rate(_ kinds: RateKind...) -> Int64? { kinds.compactMap { price.picodollars($0) }.max() }
        self.perImage = rate(.perInputImage, .perOutputImage)
        self.perPixel = rate(.perInputPixel, .perOutputPixel)
        self.perCharacter = rate(.perInputCharacter, .perOutputCharacter)
        self.perSecond = rate(.perInputSecond, .perOutputSecond)
        self.perSearch = rate(.perQuery)
        self.perRequest = rate(.perRequest)
        let all = [self.perImage, self.perPixel, self.perCharacter, self.perSecond, self.perSearch, self.perRequest]
        guard all.contains(where: { $0 != nil }) else { return nil }
    }

    /// What `usage` costs, rounded half up to the nano-dollar, once. 0...`ModelPrice.costMax`; never traps.
    ///
    /// Of units that mean the same (images and their pixels, characters and the seconds they are spoken in) the first
    /// that has a price is charged.
    /// - Returns: `nil`: none of the units has a price.
    package func cost(of usage: UnitUsage) -> NanoUSD? {
        // In millionths of a picodollar: rates stay below 2^50 and counts are cut at 2^53, so that no sum overflows.
        var sum: UInt128 = 0
        var isPriced = false
        func add(_ count: Int64, _ rate: Int64?, scale: UInt128 = 1_000_000) -> Bool {
            guard let rate, count > 0 else { return false }
            sum &+= UInt128(min(count, 1 << 53)) &* UInt128(max(0, rate)) &* scale
            isPriced = true
            return true
        }
        if !add(usage.images, self.perImage) { _ = add(usage.pixels, self.perPixel) }
        if !add(usage.characters, self.perCharacter) { _ = add(usage.microseconds, self.perSecond, scale: 1) }
        _ = add(usage.searches, self.perSearch)
        _ = add(1, self.perRequest)
        guard isPriced else { return nil }
        let nanos = (sum &+ 500_000_000) / 1_000_000_000
        return NanoUSD(rawValue: Int64(min(nanos, UInt128(ModelPrice.costMax.rawValue))))
    }
}
