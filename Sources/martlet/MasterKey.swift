import GatewayControlPlane
import GatewayCore
import GatewayLedger

/// The key that may do everything.
struct MasterKey {
    let record: KeyRecord
    /// The secret, when it was made at this start: to be shown once. `nil`: it was configured, or made earlier.
    let madeKey: String?

    private static let settingName = "master_key_sha256"

    /// The configured key, else the one made at first start, else `candidate`. Its digest is all that is kept.
    /// - Parameter candidate: a new secret; the same one when this is repeated, since the answer that it was kept can be
    ///   lost.
    static func establish(
        configured: String?, candidate made: String, store: any KeyStore, now: UnixMicroseconds
    ) async throws(LedgerError) -> MasterKey {
        if let configured {
            return MasterKey(
                record: Self.record(KeySecret.digest(of: configured), name: KeySecret.name(of: configured), now: now),
                madeKey: nil)
        }
        let digest = KeySecret.digest(of: made)
        let standing = try await store.setSettingIfAbsent(Self.settingName, value: digest.hex)
        guard let kept = KeyDigest(hex: standing) else {
            throw .corrupt("The stored digest of the master key is not 64 hexadecimal digits. Set LITELLM_MASTER_KEY.")
        }
        let isNew = kept == digest
        return MasterKey(
            record: Self.record(kept, name: isNew ? KeySecret.name(of: made) : "sk-...", now: now),
            madeKey: isNew ? made : nil)
    }

    private static func record(_ digest: KeyDigest, name: String, now: UnixMicroseconds) -> KeyRecord {
        KeyRecord(
            keyID: .masterKey, digest: digest, keyName: name, alias: "master", models: [], maxBudget: nil,
            budgetDuration: nil, expiresAt: nil, isBlocked: false, userID: nil, teamID: nil, metadata: "{}",
            otherFields: "{}", createdBy: "martlet", createdAt: now, updatedAt: now)
    }
}
