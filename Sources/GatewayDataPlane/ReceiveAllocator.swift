import NIOCore

/// Buffers for what is read from a socket.
///
/// NIO keeps the first buffer of a connection for its whole life, so that one is small: ten thousand idle connections
/// hold 20 MB, not 320. All later ones have the size that makes a 20 KB request one read, are the loop's own, and come
/// back to it when nobody needs their bytes any more.
struct ReceiveAllocator: RecvByteBufferAllocator {
    private static let firstBytes = 2 << 10
    static let bytes = 32 << 10
    private let loop: LoopContext
    private var isFirst = true

    /// - Parameter loop: of the one channel that this allocator serves.
    init(loop: LoopContext) { self.loop = loop }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        if self.isFirst { return allocator.buffer(capacity: Self.firstBytes) }
        return self.loop.buffer(capacity: Self.bytes)
    }

    /// - Returns: always that the next buffer may be larger: this is what keeps NIO from using the first one again.
    mutating func record(actualReadBytes: Int) -> Bool {
        self.isFirst = false
        return true
    }
}
