import GatewayAdmission
import GatewayCore

/// Decides who calls and whether the key is in force.
struct ControlAuthenticator: Sendable {
    var directory: KeyDirectory

    func authenticate(_ credential: KeyDigest?, now: UnixMicroseconds) throws(ControlRefusal) -> KeyEntry {
        guard let credential else { throw .gateway(.missingKey) }
        guard let entry = self.directory.entry(digest: credential) else { throw .gateway(.unknownKey) }
        if let refusal = entry.refusal(now: now) { throw .gateway(refusal) }
        return entry
    }
}
