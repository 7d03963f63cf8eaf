/// All fields of LiteLLM's `/key/generate`, `/key/update` and `/key/regenerate` bodies.
extension KeyField {
    static let table: [KeyField] = [
        KeyField("key", .text(bytesMax: 512), .applied), KeyField("new_key", .text(bytesMax: 512), .applied),
        KeyField("grace_period", .text(bytesMax: 32), .applied),
        KeyField("new_master_key", .text(bytesMax: 512), .applied),
        KeyField("key_alias", .text(bytesMax: 512), .applied), KeyField("duration", .text(bytesMax: 32), .applied),
        KeyField("models", .texts(countMax: 1000, bytesMax: 512), .applied), KeyField("max_budget", .money, .applied),
        KeyField("budget_duration", .text(bytesMax: 32), .applied),
        KeyField("budget_mode", .text(bytesMax: 32), .applied), KeyField("blocked", .flag, .applied),
        KeyField("user_id", .text(bytesMax: 512), .applied), KeyField("team_id", .text(bytesMax: 512), .applied),
        KeyField("metadata", .object(bytesMax: 64 << 10), .applied),
        KeyField("key_type", .text(bytesMax: 32), .applied),
        KeyField("spend", .money, .ignored("spend is what the ledger has counted and cannot be set")),
        KeyField("agent_id", .text(bytesMax: 512), .kept), KeyField("organization_id", .text(bytesMax: 512), .kept),
        KeyField("project_id", .text(bytesMax: 512), .kept),
        KeyField("tags", .texts(countMax: 1000, bytesMax: 512), .kept),
        KeyField("allowed_cache_controls", .list(bytesMax: smallJSON), .kept),
        KeyField("config", .object(bytesMax: smallJSON), .kept), KeyField("prompts", .list(bytesMax: smallJSON), .kept),
        KeyField("allowed_passthrough_routes", .list(bytesMax: smallJSON), .kept),
        KeyField("rpm_limit_type", .text(bytesMax: 64), .kept), KeyField("tpm_limit_type", .text(bytesMax: 64), .kept),
        KeyField("send_invite_email", .flag, .kept), KeyField("rotation_interval", .text(bytesMax: 64), .kept),
        KeyField("temp_budget_expiry", .text(bytesMax: 64), .kept), KeyField("disable_global_guardrails", .flag, .kept),
        KeyField("enable_prompt_caching", .flag, .kept),
        KeyField("allowed_routes", .texts(countMax: 1000, bytesMax: 512), .kept),
        KeyField("max_parallel_requests", .integer, .kept), KeyField("tpm_limit", .integer, .kept),
        KeyField("rpm_limit", .integer, .kept), KeyField("tpd_limit", .integer, .kept),
        KeyField("budget_rollover", .flag, .kept), KeyField("budget_rollover_max", .money, .kept),
        KeyField("rate_limit_window", .text(bytesMax: 32), .applied),
        KeyField("soft_budget", .money, .kept), KeyField("temp_budget_increase", .number, .kept),
        KeyField("budget_limits", .list(bytesMax: smallJSON), .kept),
        KeyField("budget_fallbacks", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("budget_id", .text(bytesMax: 512), .kept),
        KeyField("end_user_budget_id", .text(bytesMax: 512), .notEnforced),
        KeyField("model_max_budget", .object(bytesMax: smallJSON), .kept),
        KeyField("model_rpm_limit", .object(bytesMax: smallJSON), .kept),
        KeyField("model_tpm_limit", .object(bytesMax: smallJSON), .kept),
        KeyField("mcp_rpm_limit", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("tag_rpm_limit", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("throttle_on_budget_exceeded", .flag, .notEnforced),
        KeyField("permissions", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("object_permission", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("access_group_ids", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("guardrails", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("policies", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("enforced_params", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("aliases", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("router_settings", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("auto_rotate", .flag, .notEnforced),
    ]

    static let byName: [String: KeyField] = Dictionary(uniqueKeysWithValues: Self.table.map { ($0.name, $0) })

    /// JSON text of one structured field.
    private static let smallJSON = 64 << 10

    /// The known field that `name` is surely a slip of. `nil`: none is that near.
    static func nearMatch(_ name: String) -> String? {
        guard name.utf8.count >= 4, name.utf8.count <= 40 else { return nil }
        let distanceMax = name.utf8.count >= 8 ? 2 : 1
        return Self.table.map { ($0.name, editDistance($0.name, name)) }.filter { $0.1 <= distanceMax }.min {
            $0.1 < $1.1
        }?.0
    }
}

/// Insertions, deletions, replacements and swaps of neighbours between two short texts (optimal string alignment).
func editDistance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first.utf8), Array(second.utf8))
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
        var row = [i + 1]
        for j in 0..<b.count {
            var best = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
            row.append(best)
        }
        (beforeLast, last) = (last, row)
    }
    return last[b.count]
}
