import GatewayCore

/// What a key request asks for, checked. A field that is `nil` was not given and stays as it is.
struct KeyEdits: Sendable {
    var secret: String?
    var newSecret: String?
    var alias: String??
    var duration: KeyDuration??
    var models: [String]?
    var maxBudget: NanoUSD??
    var budgetDuration: String??
    var isBlocked: Bool?
    var userID: String??
    var teamID: String??
    var metadata: JSONValue?
    /// Fields that are stored as given; null removes one.
    var others: [JSONMember] = []
    /// What was accepted without effect, for the reply.
    var warnings: [String] = []

    /// JSON text of all fields that are stored as given.
    private static let othersBytesMax = 256 << 10
    private static let budgetWords: Set<String> = ["hourly", "daily", "weekly", "monthly"]

    /// - Throws: 422 for wrong types and values, 400 for a name that is surely misspelt.
    static func decode(_ members: [JSONMember]) throws(ControlRefusal) -> KeyEdits {
        var edits = KeyEdits()
        var problems: [FieldProblem] = []
        for member in members {
            guard let field = KeyField.byName[member.name] else {
                try edits.noteUnknown(member.name)
                continue
            }
            if let problem = field.problem(with: member.value) {
                problems.append(problem)
                continue
            }
            switch field.effect {
            case .applied: if let problem = edits.apply(field, member.value) { problems.append(problem) }
            case .kept: edits.others.append(member)
            case .notEnforced:
                edits.others.append(member)
                if !member.value.isVoid { edits.warnings.append(Self.notEnforced(member.name)) }
            case .ignored(let reason):
                if !member.value.isVoid { edits.warnings.append("\(member.name) was ignored: \(reason)") }
            }
        }
        guard problems.isEmpty else { throw .invalid(problems) }
        return edits
    }

    /// The record with these edits. `now` starts a duration and becomes the time of update.
    func applied(to record: KeyRecord, now: UnixMicroseconds) throws(ControlRefusal) -> KeyRecord {
        var record = record
        if let alias = self.alias { record.alias = alias }
        if let duration = self.duration { record.expiresAt = duration?.added(to: now) }
        if let models = self.models { record.models = models }
        if let maxBudget = self.maxBudget { record.maxBudget = maxBudget }
        if let budgetDuration = self.budgetDuration { record.budgetDuration = budgetDuration }
        if let isBlocked = self.isBlocked { record.isBlocked = isBlocked }
        if let userID = self.userID { record.userID = userID }
        if let teamID = self.teamID { record.teamID = teamID }
        if let metadata = self.metadata { record.metadata = metadata.text }
        if !self.others.isEmpty {
            var stored = KeyRendering.storedMembers(record.otherFields)
            for member in self.others {
                if let index = stored.firstIndex(where: { $0.name == member.name }) {
                    stored[index] = member
                } else {
                    stored.append(member)
                }
            }
            record.otherFields = JSONValue.object(stored.filter { $0.value != .null }).text
            guard record.otherFields.utf8.count <= Self.othersBytesMax else {
                throw .invalid([
                    FieldProblem(
                        location: ["body"], message: "All fields together should have at most 262144 bytes as JSON",
                        type: "too_long")
                ])
            }
        }
        record.updatedAt = max(now, record.createdAt)
        return record
    }

    private static func notEnforced(_ name: String) -> String {
        "\(name) is stored, but this version does not enforce it"
    }

    private mutating func noteUnknown(_ name: String) throws(ControlRefusal) {
        // Only what can be a field's name is repeated: a secret in the wrong place must not come back.
        let isName = name.utf8.count <= 64 && name.utf8.allSatisfy { $0 == 0x5F || (0x61...0x7A).contains($0) }
        if let near = KeyField.nearMatch(name) {
            let shown = isName ? " \"\(name)\"" : ""
            throw .badRequest("Unknown field\(shown) in the body; did you mean \"\(near)\"?", param: near)
        }
        guard self.warnings.count < 100 else { return }
        self.warnings.append(isName ? "\(name) is unknown and was ignored" : "an unknown field was ignored")
    }

    private mutating func apply(_ field: KeyField, _ value: JSONValue) -> FieldProblem? {
        let text: String? = if case .string(let text) = value, !text.isEmpty { text } else { nil }
        switch field.name {
        case "key": self.secret = text
        case "new_key": self.newSecret = text
        case "key_alias": self.alias = .some(text)
        case "user_id": self.userID = .some(text)
        case "team_id": self.teamID = .some(text)
        case "max_budget": self.maxBudget = .some(value.double.flatMap { NanoUSD(dollars: $0) })
        case "blocked": self.isBlocked = value == .bool(true)
        case "metadata": self.metadata = value == .null ? .object([]) : value
        case "models": self.setModels(value)
        case "duration": return self.setDuration(field, text)
        case "budget_duration": return self.setBudgetDuration(field, text)
        case "budget_mode": return self.setChoice(field, text, of: ["strict", "expected"])
        case "rate_limit_window": return self.setChoice(field, text, of: ["fixed", "sliding"])
        case "key_type":
            return self.setChoice(field, text, of: ["llm_api", "management", "read_only", "default"])
        case "grace_period":
            if let text, !["0", "0s", "0m", "0h", "0d"].contains(text) {
                return field.problem(
                    "Grace periods are not supported: the old secret ends at once. Leave grace_period out or send "
                        + "\"0s\"", "value_error")
            }
        case "new_master_key":
            if text != nil {
                return field.problem(
                    "The master key cannot be rotated over the API. Set it in the configuration and restart",
                    "value_error")
            }
        default: preconditionFailure("field \(field.name) is applied but has no meaning here")
        }
        return nil
    }

    private mutating func setModels(_ value: JSONValue) {
        let names = (value.list ?? []).compactMap { if case .string(let name) = $0 { name } else { nil } }
        self.models = names
    }

    private mutating func setDuration(_ field: KeyField, _ text: String?) -> FieldProblem? {
        guard let text, text != "-1" else {
            self.duration = .some(nil)
            return nil
        }
        guard let duration = KeyDuration(text) else { return Self.durationProblem(field) }
        self.duration = duration
        return nil
    }

    private mutating func setBudgetDuration(_ field: KeyField, _ text: String?) -> FieldProblem? {
        guard let text else {
            self.budgetDuration = .some(nil)
            return nil
        }
        guard Self.budgetWords.contains(text) || KeyDuration(text) != nil else { return Self.durationProblem(field) }
        self.budgetDuration = text
        return nil
    }

    private static func durationProblem(_ field: KeyField) -> FieldProblem {
        field.problem(
            "Value should be a number and one of s, m, h, d, w, mo, such as \"30d\", and at most a hundred years",
            "value_error")
    }

    private mutating func setChoice(_ field: KeyField, _ text: String?, of choices: [String]) -> FieldProblem? {
        guard let text else {
            self.others.append(JSONMember(field.name, .null))
            return nil
        }
        guard choices.contains(text) else {
            return field.problem(
                "Input should be " + choices.map { "'\($0)'" }.joined(separator: " or "), "literal_error")
        }
        self.others.append(JSONMember(field.name, .string(text)))
        return nil
    }
}
