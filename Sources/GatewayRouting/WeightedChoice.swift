/// Picks one of several by weight.
package struct WeightedChoice: Sendable {
    private let weights: [Double]

    /// `weights` must all be above 0 and finite (the configuration is checked before it gets here).
    package init(_ weights: [Double]) {
        precondition(weights.allSatisfy { $0 > 0 && $0.isFinite }, "weights must be above 0: \(weights)")
        self.weights = weights
    }

    /// Picks among those that `isUsable`, in proportion to their weights.
    /// - Parameter random: uniformly distributed bits.
    /// - Returns: the index, `nil` when none is usable.
    package func pick(random: UInt64, isUsable: (Int) -> Bool) -> Int? {
        if self.weights.count == 1 { return isUsable(0) ? 0 : nil }
        var total = 0.0
        for index in self.weights.indices where isUsable(index) { total += self.weights[index] }
        guard total > 0 else { return nil }
        var target = Double(random >> 11) * 0x1p-53 * total
        var last: Int?
        for index in self.weights.indices where isUsable(index) {
            target -= self.weights[index]
            if target < 0 { return index }
            last = index
        }
        return last
    }
}
