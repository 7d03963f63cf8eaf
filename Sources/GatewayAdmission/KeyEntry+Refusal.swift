import GatewayCore

extension KeyEntry {
    /// Whether `refusal` has nothing to say at `now`.
    package func isInForce(at now: UnixMicroseconds) -> Bool {
        if self.record.isBlocked { return false }
        if let expiry = self.record.expiresAt { return now < expiry }
        return true
    }

    /// Why this key may do nothing at all at `now`. `nil`: it is in force.
    package func refusal(now: UnixMicroseconds) -> GatewayError? {
        if self.record.isBlocked { return .blockedKey }
        if let expiry = self.record.expiresAt, now >= expiry { return .expiredKey(at: expiry) }
        return nil
    }
}

/// The refusals of a key, the same for calls and for management; types and parameters are LiteLLM's.
extension GatewayError {
    package static let missingKey = GatewayError(
        status: 401, type: "auth_error", origin: .caller,
        message:
            "Authentication Error, No api key passed in. Send your virtual key as \"Authorization: Bearer sk-...\".")

    package static let unknownKey = GatewayError(
        status: 401, type: "token_not_found_in_db", param: "key", origin: .caller,
        message: "Authentication Error, Invalid proxy server token passed. The key is not known to this gateway: check "
            + "it, or ask an operator for a new one.")

    package static let blockedKey = GatewayError(
        status: 401, type: "auth_error", origin: .caller,
        message: "Authentication Error, Key is blocked. An operator can unblock it with POST /key/unblock.")

    package static func expiredKey(at expiry: UnixMicroseconds) -> GatewayError {
        GatewayError(
            status: 401, type: "expired_key", param: "key", origin: .caller,
            message:
                "Authentication Error - Expired Key. Key Expiry time \(expiry.iso8601). Ask an operator for a new one.")
    }
}
