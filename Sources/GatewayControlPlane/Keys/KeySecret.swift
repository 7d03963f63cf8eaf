import Crypto
import GatewayCore

/// Secrets of virtual keys: how they are made, digested and shortened for people.
package enum KeySecret {
    /// Bytes of a custom secret, prefix included.
    static let customBytes = 8...512
    /// Random bytes in a secret that we make; 192 bits, more than can be guessed.
    private static let randomWords = 3

    /// SHA-256 of the secret as sent, as LiteLLM stores it.
    package static func digest(of secret: String) -> KeyDigest {
        var hash = SHA256()
        var secret = secret
        secret.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        guard let digest = KeyDigest(bytes: Array(hash.finalize())) else {
            preconditionFailure("a SHA-256 digest has 32 bytes")
        }
        return digest
    }

    /// Digest of what a caller named a key by: its secret, or the digest's 64 hexadecimal digits.
    static func digest(named text: String) -> KeyDigest { KeyDigest(hex: text) ?? Self.digest(of: text) }

    /// `sk-` and the base64url text (RFC 4648, section 5) of 24 random bytes.
    package static func make(using randomness: SecretRandomness) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let words = (0..<Self.randomWords).map { _ in randomness.next() }
        let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
        var text: [UInt8] = Array("sk-".utf8)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = UInt32(bytes[start]) << 16 | UInt32(bytes[start + 1]) << 8 | UInt32(bytes[start + 2])
            for shift in [18, 12, 6, 0] as [UInt32] { text.append(alphabet[Int(group >> shift & 63)]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `sk-...` and the last four characters.
    package static func name(of secret: String) -> String { "sk-..." + secret.suffix(4) }
}
