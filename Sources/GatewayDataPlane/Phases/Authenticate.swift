import Crypto
import GatewayAdmission
import GatewayCore
import GatewayWire

/// Phase 1: which virtual key a request carries. Pure but for the look-up.
enum Authenticate {
    /// The secret as presented: `x-litellm-api-key`, `Authorization`, `x-api-key`, `api-key` or `x-goog-api-key`, in
    /// this order. Empty: none.
    static func credential(_ bytes: UnsafeRawBufferPointer, head: RequestHead) -> UnsafeRawBufferPointer {
        if !head.xLiteLLMAPIKey.isEmpty { return Self.withoutScheme(bytes, head.xLiteLLMAPIKey) }
        if !head.authorization.isEmpty {
            return Self.accessKeyID(bytes, head.authorization) ?? Self.withoutScheme(bytes, head.authorization)
        }
        if !head.xAPIKey.isEmpty { return bytes[head.xAPIKey] }
        if !head.apiKey.isEmpty { return bytes[head.apiKey] }
        return bytes[head.xGoogAPIKey]
    }

    /// What follows `Bearer`. The scheme is case-insensitive (RFC 9110, section 11.1); a bare key is taken too, as
    /// LiteLLM does.
    private static func withoutScheme(_ bytes: UnsafeRawBufferPointer, _ field: ByteRange) -> UnsafeRawBufferPointer {
        let value = bytes[field]
        guard value.count > 7, value[6] == UInt8(ascii: " "), HeaderName.hasPrefix(bytes, field, "bearer") else {
            return value
        }
        var start = 7
        while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
        return UnsafeRawBufferPointer(rebasing: value[start...])
    }

    /// The access key of a request that AWS's clients signed ("Signature Version 4", "Authorization header"): the
    /// virtual key stands in its place, and is as good there as after `Bearer`, so the signature is not looked at.
    /// `nil`: another scheme.
    private static func accessKeyID(_ bytes: UnsafeRawBufferPointer, _ field: ByteRange) -> UnsafeRawBufferPointer? {
        let value = bytes[field]
        guard value.count > 17, value[16] == UInt8(ascii: " "), HeaderName.hasPrefix(bytes, field, "aws4-hmac-sha256")
        else { return nil }
        let name: StaticString = "Credential="
        for part in value[17...].split(whereSeparator: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: " ") })
        where part.starts(with: UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)) {
            let scope = part.dropFirst(name.utf8CodeUnitCount)
            return UnsafeRawBufferPointer(rebasing: scope.prefix { $0 != UInt8(ascii: "/") })
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// `?key=`, as Google's clients may send it. Empty: none.
    private static func keyInQuery(_ bytes: UnsafeRawBufferPointer, target: ByteRange) -> UnsafeRawBufferPointer {
        let target = bytes[target]
        guard let question = target.firstIndex(of: UInt8(ascii: "?")) else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        for field in target[(question + 1)...].split(separator: UInt8(ascii: "&")) where field.starts(with: "key=".utf8)
        {
            return UnsafeRawBufferPointer(rebasing: field.dropFirst(4))
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// SHA-256 of a presented secret.
    static func digest(of secret: UnsafeRawBufferPointer) -> KeyDigest {
        var hash = SHA256()
        hash.update(bufferPointer: secret)
        return hash.finalize().withUnsafeBytes { bytes in
            func word(_ index: Int) -> UInt64 {
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
            return KeyDigest((word(0), word(1), word(2), word(3)))
        }
    }

    enum Verdict {
        case known(KeyEntry)
        /// The directory holds no such key.
        case unknown(KeyDigest)
        case refused(GatewayError)
    }

    /// The secret as presented to a call of `kind`. Empty: none.
    static func secret(
        _ bytes: UnsafeRawBufferPointer, head: RequestHead, kind: CallKind
    ) -> UnsafeRawBufferPointer {
        let secret = Self.credential(bytes, head: head)
        guard secret.isEmpty, [.generateContent, .embedding, .passThrough].contains(kind) else { return secret }
        return Self.keyInQuery(bytes, target: head.target)
    }

    /// The key's entry when it may make calls at all.
    static func entry(
        _ bytes: UnsafeRawBufferPointer, head: RequestHead, kind: CallKind, keys: KeyDirectory,
        now: UnixMicroseconds, last: inout LastCredential
    ) -> Verdict {
        let secret = Self.secret(bytes, head: head, kind: kind)
        guard !secret.isEmpty else { return .refused(.missingKey) }
        guard let entry = last.entry(secret, keys: keys) else { return .unknown(Self.digest(of: secret)) }
        if let refusal = entry.refusal(now: now) { return .refused(refusal) }
        return .known(entry)
    }
}

/// The key of the request before on the same connection, which nearly always carries the same one: no digest has to be
/// made of it again. Forgotten with the connection, and as soon as any key has changed.
struct LastCredential {
    private var secret: [UInt8] = []
    private var entry: KeyEntry?
    /// Of the keys when `entry` was looked up.
    private(set) var generation: UInt64 = 0

    mutating func entry(_ presented: UnsafeRawBufferPointer, keys: KeyDirectory) -> KeyEntry? {
        let generation = keys.generation
        if let entry = self.entry, self.generation == generation, self.matches(presented) { return entry }
        self.entry = keys.entry(digest: Authenticate.digest(of: presented))
        self.generation = generation
        self.secret = self.entry == nil ? [] : Array(presented)
        return self.entry
    }

    /// Takes the same time wherever the two differ.
    private func matches(_ presented: UnsafeRawBufferPointer) -> Bool {
        guard presented.count == self.secret.count else { return false }
        return self.secret.withUnsafeBytes { SecretBytes.areEqual($0, presented, in: 0..<$0.count) }
    }
}
