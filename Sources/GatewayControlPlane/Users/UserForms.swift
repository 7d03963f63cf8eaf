/// Bodies of user requests.
extension EntityForm {
    private static let userFields: [KeyField] = [
        identifier("user_id"), identifier("user_email"), KeyField("user_alias", .text(bytesMax: 512), .applied),
        KeyField("user_role", .text(bytesMax: 64), .applied), models, metadata, blocked, budgetID,
        KeyField("sso_user_id", .text(bytesMax: 512), .kept),
        KeyField("password", .text(bytesMax: 512), .ignored("this version has no sign-in by password")),
        KeyField("allowed_cache_controls", .list(bytesMax: smallJSON), .kept),
        KeyField("config", .object(bytesMax: smallJSON), .kept),
        KeyField("permissions", .object(bytesMax: smallJSON), .notEnforced),
    ]

    static let userUpdate = EntityForm(Self.userFields, Self.governance, Self.beyond)

    /// What `/user/new` says about the key that it makes beside the user.
    static let newUserKeyFields = ["key_alias", "duration"]

    static let userNew = EntityForm(
        Self.userFields, Self.governance, Self.beyond,
        [
            KeyField("teams", .list(bytesMax: smallJSON), .applied), names("organizations"),
            KeyField("organization_id", .text(bytesMax: 512), .applied),
            KeyField("team_id", .text(bytesMax: 512), .applied), KeyField("auto_create_key", .flag, .applied),
            KeyField("key_alias", .text(bytesMax: 512), .applied), KeyField("duration", .text(bytesMax: 32), .applied),
        ])
    static let userNames = EntityForm([names("user_ids")])
    static let userBulk = EntityForm([
        KeyField("users", .list(bytesMax: 1 << 20), .applied), KeyField("all_users", .flag, .applied),
        KeyField("user_updates", .object(bytesMax: 1 << 20), .applied),
    ])
}
