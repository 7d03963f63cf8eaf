/// Bodies of team requests.
extension EntityForm {
    private static let teamFields: [KeyField] = [
        identifier("team_id"), KeyField("team_alias", .text(bytesMax: 512), .applied),
        KeyField("organization_id", .text(bytesMax: 512), .applied), models, metadata, blocked, budgetID, names("tags"),
        names("team_member_permissions"), KeyField("team_member_budget", .money, .applied),
        KeyField("team_member_budget_duration", .text(bytesMax: 32), .applied),
        KeyField("team_member_rpm_limit", .integer, .applied), KeyField("team_member_tpm_limit", .integer, .applied),
        KeyField("team_member_key_duration", .text(bytesMax: 32), .notEnforced),
        KeyField("default_team_member_models", .list(bytesMax: smallJSON), .notEnforced),
    ]
    /// What a team's own admins may change; the rest is for those above them.
    static let teamAdminFields: Set<String> = ["team_id", "team_alias", "metadata", "team_member_permissions", "tags"]

    static let teamUpdate = EntityForm(Self.teamFields, Self.governance, Self.beyond)
    static let teamNew = EntityForm(
        Self.teamFields, Self.governance, Self.beyond,
        [
            KeyField("members_with_roles", .list(bytesMax: 1 << 20), .applied),
            KeyField("admins", .list(bytesMax: smallJSON), .ignored("use members_with_roles")),
            KeyField("members", .list(bytesMax: smallJSON), .ignored("use members_with_roles")),
        ])
    static let teamName = EntityForm([identifier("team_id")])
    static let teamNames = EntityForm([names("team_ids")])
    static let teamModels = EntityForm([identifier("team_id"), models])
    static let teamPermissions = EntityForm([identifier("team_id"), names("team_member_permissions")])

    /// What a membership holds. LiteLLM's names of the budget within a team or organization end up as `max_budget`.
    private static let memberFields: [KeyField] = [
        identifier("user_id"), identifier("user_email"), KeyField("role", .text(bytesMax: 32), .applied),
        KeyField("max_budget_in_team", .money, .applied), KeyField("max_budget_in_organization", .money, .applied),
        names("allowed_models"), budgetID,
    ]
    static let teamMemberAdd = EntityForm(
        Self.memberFields, Self.governance,
        [
            identifier("team_id"), KeyField("member", .anything(bytesMax: 1 << 20), .applied),
            KeyField("members", .list(bytesMax: 1 << 20), .applied), KeyField("all_users", .flag, .applied),
        ])
    static let memberOne = EntityForm(Self.memberFields, Self.governance)
    static let teamMemberUpdate = EntityForm(Self.memberFields, Self.governance, [identifier("team_id")])
    static let organizationMember = EntityForm(
        Self.memberFields, Self.governance,
        [identifier("organization_id"), KeyField("member", .anything(bytesMax: 1 << 20), .applied)])
}
