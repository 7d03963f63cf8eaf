/// The box that seals, and those that only open what was sealed before a change of the salt key.
package struct SecretKeyring: Sendable {
    package let current: SecretBox
    private let former: [SecretBox]

    package init(current: SecretBox, former: [SecretBox] = []) {
        self.current = current
        self.former = former
    }

    /// The keyring that the configured keys give. As LiteLLM, it seals with the salt key, or with the master key where
    /// there is no salt key. With both, what was sealed with the master key before the salt key came still opens.
    /// `nil`: neither is configured. A master key that this program made up is none to seal with: only its digest is
    /// kept; and a salt kept beside what it seals would protect nothing.
    /// - Parameter formerSaltKey: the salt key before the rotation that is under way. `nil`: none.
    package static func configured(saltKey: String?, formerSaltKey: String?, masterKey: String?) -> SecretKeyring? {
        func box(_ key: String?) -> SecretBox? { key.flatMap { $0.isEmpty ? nil : SecretBox(saltKey: $0) } }
        let boxes = [box(saltKey), box(masterKey)].compactMap { $0 }
        guard let current = boxes.first else { return nil }
        return SecretKeyring(
            current: current, former: Array(boxes.dropFirst()) + [box(formerSaltKey)].compactMap { $0 })
    }

    package func seal(_ secret: String, at place: SecretPlace) -> String { self.current.seal(secret, at: place) }

    /// Tries the boxes in order.
    package func open(_ sealed: String, at place: SecretPlace) throws(SecretBoxError) -> String {
        var failure: SecretBoxError
        do throws(SecretBoxError) { return try self.current.open(sealed, at: place) } catch { failure = error }
        for box in self.former {
            do throws(SecretBoxError) { return try box.open(sealed, at: place) } catch { failure = error }
        }
        throw failure
    }

    /// Seals the content of the response of this identifier.
    package func seal(content: [UInt8], ofResponse id: String) -> [UInt8] {
        self.current.seal(content: content, ofResponse: id)
    }

    /// Tries the boxes in order. `nil`: none opens it.
    package func open(content sealed: [UInt8], ofResponse id: String) -> [UInt8]? {
        for box in [self.current] + self.former {
            if let content = box.open(content: sealed, ofResponse: id) { return content }
        }
        return nil
    }
}
