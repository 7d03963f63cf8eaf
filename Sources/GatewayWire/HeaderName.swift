/// Comparison of header names and values that ignores letter case (ASCII only). `lowercase` must be in lower case.
package enum HeaderName {
    package static func equals(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, _ lowercase: StaticString) -> Bool {
        range.count == lowercase.utf8CodeUnitCount && Self.hasPrefix(bytes, range, lowercase)
    }

    package static func hasPrefix(
        _ bytes: UnsafeRawBufferPointer, _ range: ByteRange, _ lowercase: StaticString
    ) -> Bool {
        let count = lowercase.utf8CodeUnitCount
        guard range.count >= count else { return false }
        let start = Int(range.start)
        for offset in 0..<count {
            var byte = bytes[start + offset]
            if byte &- UInt8(ascii: "A") < 26 { byte |= 0x20 }
            if byte != lowercase.utf8Start[offset] { return false }
        }
        return true
    }
}
