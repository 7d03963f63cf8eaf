import GatewayAdmission
import GatewayCore

/// Decides who calls and whether the key is in force. Types and messages follow LiteLLM's.
struct ControlAuthenticator: Sendable {
    var directory: KeyDirectory

    func authenticate(_ credential: KeyDigest?, now: UnixMicroseconds) throws(ControlRefusal) -> KeyEntry {
        guard let credential else {
            throw Self.refusal(
                "auth_error", "Authentication Error, No api key passed in. Send it as Authorization: Bearer sk-...")
        }
        guard let entry = self.directory.entry(digest: credential) else {
            throw Self.refusal(
                "token_not_found_in_db", param: "key",
                "Authentication Error, Invalid proxy server token passed: this gateway has no such key.")
        }
        if entry.record.isBlocked {
            throw Self.refusal(
                "auth_error", "Authentication Error, Key is blocked. Update via `/key/unblock` if you're admin.")
        }
        if let expiresAt = entry.record.expiresAt, expiresAt <= now {
            throw Self.refusal(
                "expired_key", param: "key",
                "Authentication Error - Expired Key. Key Expiry time \(expiresAt.iso8601) and current time "
                    + "\(now.iso8601)")
        }
        return entry
    }

    private static func refusal(_ type: String, param: String? = nil, _ message: String) -> ControlRefusal {
        .gateway(GatewayError(status: 401, type: type, param: param, origin: .caller, message: message))
    }
}
