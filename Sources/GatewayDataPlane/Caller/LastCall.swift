import GatewayAdmission
import GatewayCore
import GatewayWire

/// The head of the last call on a connection, and what came of it. Callers that keep their connection repeat the head
/// byte for byte but for the length of the body, and equal bytes mean an equal request: nothing of it has to be parsed
/// or looked up again. Forgotten with the connection, and as soon as any key has changed.
final class LastCall {
    /// Longer heads are parsed each time, so that ten thousand connections hold 10 MB of heads at most.
    private static let headBytesMax = 1024

    let kind: CallKind
    let key: KeyEntry
    let origin: CallOrigin?
    let keepsAlive: Bool
    let isHTTP11: Bool
    private let head: [UInt8]
    /// Where the digits of the body's length stand in `head`.
    private let lengthDigits: ByteRange
    private let generation: UInt64

    /// Keeps a head whose key was looked up at `generation`. `nil`: it is too long, or says no length.
    init?(
        _ head: RequestHead, bytes: UnsafeRawBufferPointer, kind: CallKind, key: KeyEntry, origin: CallOrigin?,
        generation: UInt64
    ) {
        guard head.headBytes <= Self.headBytesMax, head.headBytes <= bytes.count, !head.contentLengthDigits.isEmpty
        else { return nil }
        self.head = Array(bytes[..<head.headBytes])
        self.lengthDigits = head.contentLengthDigits
        self.kind = kind
        self.key = key
        self.origin = origin
        self.keepsAlive = head.keepAlive
        self.isHTTP11 = head.isHTTP11
        self.generation = generation
    }

    /// The sizes of head and body of the request at the front of `bytes`, when it repeats the kept head and has come
    /// whole. `nil`: anything else. The head holds a secret, so comparing takes the same time wherever the two differ.
    func sizes(_ bytes: UnsafeRawBufferPointer, generation: UInt64) -> (head: Int, body: Int)? {
        let count = self.head.count
        guard bytes.count > count, self.generation == generation else { return nil }
        let digits = self.lengthDigits.range
        let isEqual = self.head.withUnsafeBytes { head in
            // Both, whatever the first gives.
            let isFrontEqual = SecretBytes.areEqual(head, bytes, in: 0..<digits.lowerBound)
            let isBackEqual = SecretBytes.areEqual(head, bytes, in: digits.upperBound..<count)
            return isFrontEqual && isBackEqual
        }
        guard isEqual, let body = HTTPText.decimal(bytes, self.lengthDigits), body <= bytes.count - count else {
            return nil
        }
        return (count, Int(body))
    }
}
