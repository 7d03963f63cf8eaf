/// Comparison that takes the same time wherever two texts differ.
package enum SecretBytes {
    /// Whether both hold the same bytes in `range`, which must lie within both.
    package static func areEqual(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, in range: Range<Int>
    ) -> Bool {
        precondition(range.upperBound <= first.count && range.upperBound <= second.count, "compared beyond the end")
        guard let left = first.baseAddress, let right = second.baseAddress else { return range.isEmpty }
        var difference = ByteScan.Lanes(repeating: 0)
        var position = range.lowerBound
        while range.upperBound &- position >= 16 {
            difference |= ByteScan.lanes(left, position) ^ ByteScan.lanes(right, position)
            position &+= 16
        }
        var rest: UInt8 = 0
        while position < range.upperBound {
            rest |= ByteScan.byte(left, position) ^ ByteScan.byte(right, position)
            position &+= 1
        }
        let words = unsafeBitCast(difference, to: SIMD2<UInt64>.self)
        return words[0] | words[1] | UInt64(rest) == 0
    }
}
