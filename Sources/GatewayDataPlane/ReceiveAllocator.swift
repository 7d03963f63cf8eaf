import NIOCore

/// Buffers for what is read from a socket.
///
/// NIO keeps the first buffer of a connection for its whole life, so that one is small: ten thousand idle connections
/// hold 20 MB, not 320. All later ones have the size that makes a 20 KB request one read, and live only as long as
/// somebody needs their bytes.
struct ReceiveAllocator: RecvByteBufferAllocator {
    private static let firstBytes = 2 << 10
    private static let bytes = 32 << 10
    private var isFirst = true

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: self.isFirst ? Self.firstBytes : Self.bytes)
    }

    /// - Returns: always that the next buffer may be larger: this is what keeps NIO from using the first one again.
    mutating func record(actualReadBytes: Int) -> Bool {
        self.isFirst = false
        return true
    }
}
