import Crypto

/// Why a sealed text cannot be opened. Neither case says anything of its content.
package enum SecretBoxError: Error, Equatable, Sendable {
    /// Not a text that any version of this program has written, or one of a newer version.
    case malformed
    /// Sealed with another key, for another place, or changed since.
    case notAuthentic
}

/// Seals secrets for the store: AES-256-GCM (NIST SP 800-38D), the key derived from an operator's salt key by
/// HKDF-SHA256 (RFC 5869).
///
///     mbx1:base64url(nonce of 12 bytes | ciphertext | tag of 16 bytes)
///
/// The place of the secret (its row and key) is authenticated with it, so a text that is copied to another row or to
/// another key of its row does not open there. Nonces are random; 2^32 secrets under one salt key are far away.
package struct SecretBox: Sendable {
    /// What sealed texts start with; the digit is the version of everything behind it.
    static let prefix = "mbx1:"
    private static let nonceBytes = 12
    private static let tagBytes = 16

    private let key: SymmetricKey

    /// - Parameter saltKey: any text that is not empty; its entropy is the strength of the seal.
    package init(saltKey: String) {
        precondition(!saltKey.isEmpty, "an empty salt key seals nothing")
        self.key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Array(saltKey.utf8)), salt: Array("martlet.secret-box".utf8),
            info: Array("mbx1 aes-256-gcm".utf8), outputByteCount: 32)
    }

    /// Whether `text` claims to be sealed.
    static func isSealed(_ text: String) -> Bool { text.hasPrefix(Self.prefix) }

    /// - Parameter place: where the secret will stand; `open` needs the same.
    package func seal(_ secret: String, at place: SecretPlace) -> String {
        do {
            let box = try AES.GCM.seal(Array(secret.utf8), using: self.key, authenticating: place.bytes)
            return Self.prefix + Base64URL.encode(Array(box.nonce) + Array(box.ciphertext) + Array(box.tag))
        } catch {
            preconditionFailure("AES-GCM refuses only keys and nonces of a wrong length: \(error)")
        }
    }

    package func open(_ sealed: String, at place: SecretPlace) throws(SecretBoxError) -> String {
        guard Self.isSealed(sealed), let bytes = Base64URL.decode(sealed.utf8.dropFirst(Self.prefix.utf8.count)),
            bytes.count >= Self.nonceBytes + Self.tagBytes
        else { throw .malformed }
        let plain: [UInt8]
        do {
            let box = try AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: bytes.prefix(Self.nonceBytes)),
                ciphertext: bytes.dropFirst(Self.nonceBytes).dropLast(Self.tagBytes),
                tag: bytes.suffix(Self.tagBytes))
            plain = Array(try AES.GCM.open(box, using: self.key, authenticating: place.bytes))
        } catch {
            throw .notAuthentic
        }
        guard let secret = String(validating: plain, as: UTF8.self) else { throw .malformed }
        return secret
    }

    // MARK: Contents

    /// Seals what is larger than a secret, as bytes: nonce, ciphertext, tag.
    /// - Parameter id: of the response that it belongs to; `open` needs the same.
    func seal(content: [UInt8], ofResponse id: String) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(content, using: self.key, authenticating: Self.place(ofResponse: id))
            return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
        } catch {
            preconditionFailure("AES-GCM refuses only keys and nonces of a wrong length: \(error)")
        }
    }

    /// `nil`: sealed with another key, for another response, or changed since.
    func open(content sealed: [UInt8], ofResponse id: String) -> [UInt8]? {
        guard sealed.count >= Self.nonceBytes + Self.tagBytes,
            let box = try? AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: sealed.prefix(Self.nonceBytes)),
                ciphertext: sealed.dropFirst(Self.nonceBytes).dropLast(Self.tagBytes),
                tag: sealed.suffix(Self.tagBytes))
        else { return nil }
        return (try? AES.GCM.open(box, using: self.key, authenticating: Self.place(ofResponse: id)))
            .map { Array($0) }
    }

    /// No `SecretPlace` gives the same bytes: those begin with a length.
    private static func place(ofResponse id: String) -> [UInt8] { Array("response:\(id)".utf8) }
}
