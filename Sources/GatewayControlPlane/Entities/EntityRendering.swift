import GatewayCore

/// Entities as LiteLLM's JSON. Pure.
enum EntityRendering {
    /// A column that clients read whether it was set or not, with what it is then.
    private typealias Column = (name: String, standard: JSONValue)

    /// The whole row.
    static func row(_ record: EntityRecord, spend: NanoUSD) -> [JSONMember] {
        let fields = Self.fields(record)
        var members = Self.head(record)
        let columns = Self.columns(record.id.kind)
        for column in columns {
            let value = fields.first { $0.name == column.name }?.value ?? column.standard
            members.append(JSONMember(column.name, value))
        }
        let known = Set(members.map(\.name))
        members += fields.filter { !known.contains($0.name) }
        if ![.budget, .accessGroup].contains(record.id.kind) { members.append(JSONMember("spend", .money(spend))) }
        if [.organization, .customer, .tag, .teamMember, .organizationMember].contains(record.id.kind) {
            members.append(JSONMember("litellm_budget_table", Self.budgetTable(fields)))
        }
        return members + [
            JSONMember("created_by", .string(record.createdBy)),
            JSONMember("created_at", .string(record.createdAt.iso8601)),
            JSONMember("updated_at", .string(record.updatedAt.iso8601)),
        ]
    }

    static func fields(_ record: EntityRecord) -> [JSONMember] { JSONValue.parsed(record.fields)?.members ?? [] }

    private static func head(_ record: EntityRecord) -> [JSONMember] {
        let id = JSONValue.string(record.id.text)
        switch record.id.kind {
        case .user:
            return [
                JSONMember("user_id", id), JSONMember("user_email", .optional(record.email)),
                JSONMember("user_alias", .optional(record.alias)), JSONMember("user_role", .optional(record.role)),
            ]
        case .team:
            return [
                JSONMember("team_id", id), JSONMember("team_alias", .optional(record.alias)),
                JSONMember("organization_id", .optional(record.parent)),
            ]
        case .organization:
            return [JSONMember("organization_id", id), JSONMember("organization_alias", .optional(record.alias))]
        case .teamMember:
            return [
                JSONMember("user_id", .optional(record.member)), JSONMember("team_id", .optional(record.parent)),
                JSONMember("role", .optional(record.role)),
            ]
        case .organizationMember:
            return [
                JSONMember("user_id", .optional(record.member)),
                JSONMember("organization_id", .optional(record.parent)),
                JSONMember("user_role", .optional(record.role)),
            ]
        case .customer: return [JSONMember("user_id", id), JSONMember("alias", .optional(record.alias))]
        case .tag: return [JSONMember("name", id)]
        case .budget: return [JSONMember("budget_id", id)]
        case .accessGroup: return [JSONMember("access_group", id)]
        }
    }

    private static let limits: [Column] = ["max_budget", "budget_duration", "tpm_limit", "rpm_limit"].map {
        ($0, .null)
    }
    private static let governed: [Column] =
        Self.limits + [
            ("max_parallel_requests", .null), ("budget_reset_at", .null), ("model_max_budget", .object([])),
        ]

    private static func columns(_ kind: EntityKind) -> [Column] {
        switch kind {
        case .user: Self.governed + [("models", .array([])), ("metadata", .object([]))]
        case .team:
            Self.governed + [
                ("soft_budget", .null), ("models", .array([])), ("metadata", .object([])), ("blocked", .bool(false)),
                ("team_member_permissions", .array([])),
            ]
        case .organization: [("budget_id", .null), ("models", .array([])), ("metadata", .object([]))]
        case .teamMember, .organizationMember: [("budget_id", .null)]
        case .customer:
            [
                ("blocked", .bool(false)), ("budget_id", .null), ("allowed_model_region", .null),
                ("default_model", .null), ("models", .array([])),
            ]
        case .tag: [("description", .null), ("models", .array([])), ("budget_id", .null)]
        case .budget: Self.governed + [("soft_budget", .null)]
        case .accessGroup: [("model_names", .array([]))]
        }
    }

    /// What LiteLLM keeps in a table of its own: the budget fields that were set. Null: none.
    static func budgetTable(_ fields: [JSONMember]) -> JSONValue {
        let names = Set(EntityForm.governance.map(\.name) + ["budget_id"])
        let set = fields.filter { names.contains($0.name) }
        if set.isEmpty { return .null }
        let missing = Self.limits.filter { column in !set.contains { $0.name == column.name } }
        return .object(set + missing.map { JSONMember($0.name, $0.standard) })
    }
}
