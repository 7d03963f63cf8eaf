/// A virtual key as the store keeps it. The secret itself is never stored, only its digest.
package struct KeyRecord: Sendable, Equatable {
    package var keyID: VirtualKeyID
    package var digest: KeyDigest
    /// For people: `sk-...` and the last four characters.
    package var keyName: String
    /// Unique among keys when present.
    package var alias: String?
    /// Model names and wildcards that the key may use. Empty: all.
    package var models: [String]
    /// `nil`: unlimited. 0 blocks every call.
    package var maxBudget: NanoUSD?
    /// LiteLLM's duration text, such as `30d`. `nil`: the budget is for the key's lifetime.
    package var budgetDuration: String?
    /// `nil`: never.
    package var expiresAt: UnixMicroseconds?
    package var isBlocked: Bool
    package var userID: String?
    package var teamID: String?
    /// A JSON object, `{}` when the caller gave none.
    package var metadata: String
    /// All other fields of LiteLLM's `/key/generate` body, as one JSON object; returned by `/key/info` as given.
    package var otherFields: String
    package var createdBy: String
    package var createdAt: UnixMicroseconds
    package var updatedAt: UnixMicroseconds

    package init(
        keyID: VirtualKeyID, digest: KeyDigest, keyName: String, alias: String?, models: [String],
        maxBudget: NanoUSD?, budgetDuration: String?, expiresAt: UnixMicroseconds?, isBlocked: Bool, userID: String?,
        teamID: String?, metadata: String, otherFields: String, createdBy: String, createdAt: UnixMicroseconds,
        updatedAt: UnixMicroseconds
    ) {
        self.keyID = keyID
        self.digest = digest
        self.keyName = keyName
        self.alias = alias
        self.models = models
        self.maxBudget = maxBudget
        self.budgetDuration = budgetDuration
        self.expiresAt = expiresAt
        self.isBlocked = isBlocked
        self.userID = userID
        self.teamID = teamID
        self.metadata = metadata
        self.otherFields = otherFields
        self.createdBy = createdBy
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}
