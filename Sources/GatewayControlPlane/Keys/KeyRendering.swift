import GatewayCore

/// A key's record as LiteLLM's JSON. Pure.
enum KeyRendering {
    /// Limits that clients read whether they were set or not.
    private static let standardNulls = ["tpm_limit", "rpm_limit", "max_parallel_requests"]

    /// The members of `info`: everything but the secret, which nobody has.
    static func info(_ record: KeyRecord, spend: NanoUSD) -> [JSONMember] {
        let stored = Self.storedMembers(record.otherFields)
        let others = stored.filter { $0.name != Self.baselineName }
        let spend = spend - Self.spendBaseline(.object(stored))
        let token = record.digest.hex
        return [
            JSONMember("token", .string(token)), JSONMember("token_id", .string(token)),
            JSONMember("key_name", .string(record.keyName)), JSONMember("key_alias", .optional(record.alias)),
            JSONMember("spend", .money(spend)), JSONMember("expires", .optional(record.expiresAt?.iso8601)),
            JSONMember("models", .strings(record.models)),
            JSONMember("max_budget", record.maxBudget.map(JSONValue.money) ?? .null),
            JSONMember("budget_duration", .optional(record.budgetDuration)), JSONMember("budget_reset_at", .null),
            JSONMember("blocked", .bool(record.isBlocked)), JSONMember("user_id", .optional(record.userID)),
            JSONMember("team_id", .optional(record.teamID)), JSONMember("metadata", Self.stored(record.metadata)),
        ] + others
            + Self.standardNulls.filter { name in !others.contains { $0.name == name } }.map { JSONMember($0, .null) }
            + [
                JSONMember("created_by", .string(record.createdBy)),
                JSONMember("created_at", .string(record.createdAt.iso8601)),
                JSONMember("updated_at", .string(record.updatedAt.iso8601)), JSONMember("litellm_budget_table", .null),
            ]
    }

    /// Where a key keeps what of its spend was reset: nano-dollars.
    static let baselineName = "spend_baseline_nanos"

    /// What of a key's spend no longer counts; its fields are `otherFields`.
    static func spendBaseline(_ fields: JSONValue) -> NanoUSD {
        NanoUSD(rawValue: fields[Self.baselineName]?.integer ?? 0)
    }

    /// Reply of generate and regenerate: the one place where the secret is shown.
    static func created(_ record: KeyRecord, secret: String, spend: NanoUSD, warnings: [String]) -> [JSONMember] {
        [JSONMember("key", .string(secret))] + Self.info(record, spend: spend) + Self.warnings(warnings)
    }

    static func warnings(_ warnings: [String]) -> [JSONMember] {
        warnings.isEmpty ? [] : [JSONMember("warnings", .strings(warnings))]
    }

    /// Members of a stored JSON object; none when the store holds something else.
    static func storedMembers(_ text: String) -> [JSONMember] {
        guard case .object(let members) = Self.stored(text) else { return [] }
        return members
    }

    private static func stored(_ text: String) -> JSONValue {
        do throws(JSONError) { return try JSONParser.parse(Array(text.utf8)) } catch {
            // A damaged record must not hide the rest of the key.
            return .object([])
        }
    }
}
