import GatewayCore

/// What became of a key that the directory does not hold.
package enum KeyResolution: Sendable {
    /// It exists and is in the directory now.
    case found(KeyEntry)
    /// There is no such key: answer 401.
    case unknown
    /// The store cannot tell now: answer 503 with Retry-After, never 401.
    case storeAway
}

/// Looks up keys that were made on another pod a moment ago.
package protocol KeyResolver: Sendable {
    /// Call it only for a digest that the directory does not hold. Returns at once and never blocks; `completion` is
    /// called exactly once, on any thread, perhaps before this returns. Many calls for one digest cost one look-up.
    func resolve(_ digest: KeyDigest, completion: @escaping @Sendable (KeyResolution) -> Void)
}
