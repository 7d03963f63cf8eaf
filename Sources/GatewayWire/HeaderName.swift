/// Comparison of header names and values that ignores letter case (ASCII only). `lowercase` must be in lower case.
package enum HeaderName {
    package static func equals(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, _ lowercase: StaticString) -> Bool {
        range.count == lowercase.utf8CodeUnitCount && Self.hasPrefix(bytes, range, lowercase)
    }

    package static func hasPrefix(
        _ bytes: UnsafeRawBufferPointer, _ range: ByteRange, _ lowercase: StaticString
    ) -> Bool {
        let count = lowercase.utf8CodeUnitCount
        guard range.count >= count, count > 0, let base = bytes.baseAddress else { return count == 0 }
        let start = base + Int(range.start)
        let expected = UnsafeRawPointer(lowercase.utf8Start)
        if count >= 8 {
            var offset = 0
            while true {
                let word = start.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                let wanted = expected.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if !Self.areEqual(word, wanted) { return false }
                if offset &+ 8 == count { return true }
                // The last word overlaps the one before.
                offset = min(offset &+ 8, count &- 8)
            }
        }
        for offset in 0..<count {
            let byte = UInt64(ByteScan.byte(start, offset))
            if !Self.areEqual(byte, UInt64(ByteScan.byte(expected, offset))) { return false }
        }
        return true
    }

    /// Eight bytes at once: they may differ in bit 5, and only where `wanted`, which is ASCII, has a letter, so that
    /// `[` is not taken for `{`.
    @inline(__always)
    private static func areEqual(_ word: UInt64, _ wanted: UInt64) -> Bool {
        let isFromA = wanted &+ 0x1F1F_1F1F_1F1F_1F1F
        let isBehindZ = wanted &+ 0x0505_0505_0505_0505
        let letters = isFromA & ~isBehindZ & 0x8080_8080_8080_8080
        return (word ^ wanted) & ~(letters &>> 2) == 0
    }
}
