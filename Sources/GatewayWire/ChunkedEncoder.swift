import GatewayCore

/// Writes the chunked transfer coding (RFC 9112, section 7.1): size line, payload, CR LF, ..., last chunk.
package enum ChunkedEncoder {
    /// The longest size line: 16 digits, CR, LF.
    package static let sizeBytesMax = 18
    package static let chunkEnd: StaticString = "\r\n"
    package static let lastChunk: StaticString = "0\r\n\r\n"

    /// Writes `1a4\r\n` and returns its length; `buffer` must have room for `sizeBytesMax` bytes. `count` is above 0: a
    /// chunk of 0 bytes would end the body.
    package static func writeSize(_ count: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        precondition(count > 0, "a chunk of \(count) bytes cannot be written")
        precondition(buffer.count >= Self.sizeBytesMax, "a chunk size needs \(Self.sizeBytesMax) bytes")
        let digits = (Int.bitWidth - count.leadingZeroBitCount + 3) / 4
        for index in 0..<digits {
            buffer[index] = hexDigit(UInt8(truncatingIfNeeded: count >> ((digits - 1 - index) * 4)) & 15)
        }
        buffer[digits] = 0x0D
        buffer[digits + 1] = 0x0A
        return digits + 2
    }
}
