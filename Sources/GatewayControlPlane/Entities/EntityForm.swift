import GatewayCore

/// The fields of one kind of request: what each may hold. Fields are stored as given once they were checked.
struct EntityForm: Sendable {
    private let fields: [String: KeyField]

    init(_ parts: [KeyField]...) {
        self.fields = Dictionary(parts.joined().map { ($0.name, $0) }) { first, _ in first }
    }

    /// A request's members, checked, and what was ignored.
    struct Filled: Sendable {
        var members: [JSONMember]
        var warnings: [String]

        subscript(name: String) -> JSONValue? { self.members.first { $0.name == name }?.value }

        /// `nil`: not given, null or empty.
        func text(_ name: String) -> String? { self[name]?.nonEmptyText }

        /// - Throws: 422 when the field was not given.
        func required(_ name: String) throws(ControlRefusal) -> String {
            guard let text = self.text(name) else {
                throw .invalid([FieldProblem(location: ["body", name], message: "Field required", type: "missing")])
            }
            return text
        }

        /// Everything but these.
        func without(_ names: String...) -> [JSONMember] { self.members.filter { !names.contains($0.name) } }
    }

    /// - Throws: 422 for wrong types and values, 400 for a name that is surely misspelt.
    func fill(_ call: ControlCall) throws(ControlRefusal) -> Filled { try self.fill(try call.bodyMembers()) }

    func fill(_ members: [JSONMember]) throws(ControlRefusal) -> Filled {
        var filled = Filled(members: [], warnings: [])
        var problems: [FieldProblem] = []
        for member in members {
            guard let field = self.fields[member.name] else {
                try self.noteUnknown(member.name, &filled)
                continue
            }
            if let problem = field.problem(with: member.value) ?? EntityFieldChecks.problem(field, member.value) {
                problems.append(problem)
                continue
            }
            switch field.effect {
            case .applied, .kept: filled.members.append(member)
            case .notEnforced:
                filled.members.append(member)
                if !member.value.isVoid {
                    filled.warnings.append("\(member.name) is stored, but this version does not enforce it")
                }
            case .ignored(let reason):
                if !member.value.isVoid { filled.warnings.append("\(member.name) was ignored: \(reason)") }
            }
        }
        guard problems.isEmpty else { throw .invalid(problems) }
        return filled
    }

    private func noteUnknown(_ name: String, _ filled: inout Filled) throws(ControlRefusal) {
        let isName = name.utf8.count <= 64 && name.utf8.allSatisfy { $0 == 0x5F || (0x61...0x7A).contains($0) }
        if name.utf8.count >= 4, name.utf8.count <= 40,
            let near = self.fields.keys.sorted().first(where: {
                editDistance($0, name) <= (name.utf8.count >= 8 ? 2 : 1)
            })
        {
            let shown = isName ? " \"\(name)\"" : ""
            throw .badRequest("Unknown field\(shown) in the body; did you mean \"\(near)\"?", param: near)
        }
        guard filled.warnings.count < 100 else { return }
        filled.warnings.append(isName ? "\(name) is unknown and was ignored" : "an unknown field was ignored")
    }
}

/// The fields that several kinds of entity have.
extension EntityForm {
    static let smallJSON = 64 << 10

    static func identifier(_ name: String) -> KeyField { KeyField(name, .text(bytesMax: 512), .applied) }
    static func names(_ name: String) -> KeyField { KeyField(name, .texts(countMax: 1000, bytesMax: 512), .applied) }

    /// Budgets and limits.
    static let governance: [KeyField] = [
        KeyField("max_budget", .money, .applied), KeyField("soft_budget", .money, .applied),
        KeyField("budget_duration", .text(bytesMax: 32), .applied),
        KeyField("budget_mode", .text(bytesMax: 32), .applied), KeyField("budget_rollover", .flag, .applied),
        KeyField("budget_rollover_max", .money, .applied), KeyField("rate_limit_window", .text(bytesMax: 32), .applied),
        KeyField("budget_limits", .list(bytesMax: smallJSON), .applied),
        KeyField("budget_reset_at", .text(bytesMax: 64), .ignored("resets go by the calendar")),
        KeyField("temp_budget_increase", .money, .applied),
        KeyField("temp_budget_expiry", .text(bytesMax: 64), .applied), KeyField("tpm_limit", .integer, .applied),
        KeyField("rpm_limit", .integer, .applied), KeyField("tpd_limit", .integer, .applied),
        KeyField("rpd_limit", .integer, .applied), KeyField("max_parallel_requests", .integer, .applied),
        KeyField("model_max_budget", .object(bytesMax: smallJSON), .applied),
        KeyField("model_rpm_limit", .object(bytesMax: smallJSON), .applied),
        KeyField("model_tpm_limit", .object(bytesMax: smallJSON), .applied),
        KeyField("spend", .money, .ignored("spend is what the ledger has counted and cannot be set")),
    ]

    static let budgetID = KeyField("budget_id", .text(bytesMax: 512), .applied)
    static let metadata = KeyField("metadata", .object(bytesMax: smallJSON), .applied)
    static let models = names("models")
    static let blocked = KeyField("blocked", .flag, .applied)

    /// What users, teams and organizations of LiteLLM have beyond this version.
    static let beyond: [KeyField] = [
        KeyField("object_permission", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("guardrails", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("policies", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("prompts", .list(bytesMax: smallJSON), .kept),
        KeyField("router_settings", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("model_aliases", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("aliases", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("secret_manager_settings", .object(bytesMax: smallJSON), .notEnforced),
        KeyField("access_group_ids", .list(bytesMax: smallJSON), .notEnforced),
        KeyField("send_invite_email", .flag, .ignored("this version sends no mail")),
    ]
}

/// Checks that go beyond a field's type: durations, modes, and identifiers that must stay apart when two are joined.
enum EntityFieldChecks {
    private static let identifiers: Set<String> = [
        "user_id", "team_id", "organization_id", "budget_id", "end_user_id", "name", "access_group", "user_email",
    ]

    /// `nil`: nothing is wrong.
    static func problem(_ field: KeyField, _ value: JSONValue) -> FieldProblem? {
        if value == .null { return nil }
        switch field.name {
        case "budget_duration", "team_member_budget_duration", "duration":
            return self.isDuration(value) ? nil : self.durationProblem(field)
        case "budget_mode":
            let isKnown = ["strict", "expected", ""].contains { value == .string($0) }
            return isKnown ? nil : field.problem("Input should be 'strict' or 'expected'", "literal_error")
        case "rate_limit_window":
            let isKnown = ["fixed", "sliding", ""].contains { value == .string($0) }
            return isKnown ? nil : field.problem("Input should be 'fixed' or 'sliding'", "literal_error")
        case "temp_budget_expiry":
            let isTime = value.nonEmptyText.map { UnixMicroseconds(iso8601: $0) != nil } ?? true
            return isTime ? nil : field.problem("Input should be a time such as 2026-11-22T17:00:00Z", "value_error")
        case "budget_limits":
            let isSound = (value.list ?? []).allSatisfy { part in
                part["max_budget"]?.money.map { $0 >= .zero } == true
                    && part["budget_duration"].map(Self.isDuration) == true
            }
            return isSound
                ? nil
                : field.problem("Each item needs a budget_duration such as \"1d\" and a max_budget", "value_error")
        case "model_max_budget":
            let isSound = (value.members ?? []).allSatisfy { member in
                let part = member.value
                let label = part["time_period"] ?? part["budget_duration"] ?? .null
                let amount = part["budget_limit"] ?? part["max_budget"] ?? part
                return (amount.money.map { $0 >= .zero } ?? (part["rpm_limit"] != nil || part["tpm_limit"] != nil))
                    && (label == .null || Self.isDuration(label))
            }
            return isSound
                ? nil
                : field.problem(
                    "Each model needs a budget_limit in dollars and may have a time_period such as \"1d\"",
                    "value_error")
        case "model_rpm_limit", "model_tpm_limit":
            let isSound = (value.members ?? []).allSatisfy { ($0.value.integer ?? -1) >= 0 }
            return isSound ? nil : field.problem("Each model needs a whole number", "value_error")
        case _ where self.identifiers.contains(field.name):
            let text = value.nonEmptyText ?? ""
            let isPlain = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
            return isPlain ? nil : field.problem("String should not hold control characters", "value_error")
        default: return nil
        }
    }

    private static func isDuration(_ value: JSONValue) -> Bool {
        guard let text = value.nonEmptyText else { return value == .string("") }
        return ["hourly", "daily", "weekly", "monthly"].contains(text) || KeyDuration(text) != nil
    }

    private static func durationProblem(_ field: KeyField) -> FieldProblem {
        field.problem(
            "Value should be a number and one of s, m, h, d, w, mo, such as \"30d\", and at most a hundred years",
            "value_error")
    }
}
