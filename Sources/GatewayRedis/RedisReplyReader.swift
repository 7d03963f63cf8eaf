import CHiredis
import NIOCore

/// Takes bytes and gives whole replies, by hiredis. Confined to one event loop.
final class RedisReplyReader {
    /// Longest reply, bytes; a longer one ends the connection, because nothing that is asked for is as long.
    static let replyBytesMax = 64 << 20

    private let hiredis: HiredisLibrary
    private let reader: HiredisLibrary.Reader

    /// - Throws: when the library is missing, or memory.
    init() throws(RedisError) {
        self.hiredis = try HiredisLibrary.load()
        guard let reader = self.hiredis.createReader() else {
            throw RedisError(.unreachable, "There is no memory for a connection to Redis.")
        }
        self.reader = reader
    }

    deinit { self.hiredis.freeReader(self.reader) }

    func feed(_ bytes: ByteBuffer) throws(RedisError) {
        let code = bytes.withUnsafeReadableBytes { bytes in
            self.hiredis.feed(self.reader, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count)
        }
        guard code == REDIS_OK else { throw self.failure() }
    }

    /// The next whole reply. `nil`: more bytes are needed.
    func next() throws(RedisError) -> RedisReply? {
        var object: UnsafeMutableRawPointer?
        guard self.hiredis.getReply(self.reader, &object) == REDIS_OK else { throw self.failure() }
        guard let object else {
            guard self.reader.pointee.len - self.reader.pointee.pos <= Self.replyBytesMax else {
                throw RedisError(.connectionLost, "A reply of Redis is longer than \(Self.replyBytesMax) bytes.")
            }
            return nil
        }
        defer { self.hiredis.freeReply(object) }
        return Self.reply(object.assumingMemoryBound(to: redisReply.self))
    }

    private func failure() -> RedisError {
        RedisError(.connectionLost, "What the server sends is not Redis' protocol: is it another server's port?")
    }

    /// hiredis bounds how deep replies nest.
    private static func reply(_ pointer: UnsafeMutablePointer<redisReply>) -> RedisReply {
        let reply = pointer.pointee
        func bytes() -> [UInt8] {
            guard let start = reply.str else { return [] }
            return Array(UnsafeRawBufferPointer(start: start, count: Int(reply.len)))
        }
        switch reply.type {
        case REDIS_REPLY_STRING: return .bytes(bytes())
        case REDIS_REPLY_STATUS: return .status(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_ERROR: return .error(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            return .array(
                (0..<Int(reply.elements)).map { index in
                    reply.element?[index].map(Self.reply) ?? .null
                })
        default: return .null
        }
    }
}
