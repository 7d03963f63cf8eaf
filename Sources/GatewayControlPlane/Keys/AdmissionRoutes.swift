import GatewayAdmission
import GatewayCore

/// `POST /utils/admission`: which budgets and limits the calls of a key pass, and how they stand. Nothing is reserved.
///
/// Body: `{"key": "sk-... or its hash", "model": "gpt-5", "user": "customer"}`, all optional; without `key` the
/// caller's own. Only the master key may ask for another's.
struct AdmissionRoutes: ControlRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] { [ControlRoute("POST", "/utils/admission", .anyKey, self.explain)] }

    private func explain(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        guard let caller = call.caller else { throw .keyNotFound }
        let body = JSONValue.object(try call.bodyMembers())
        var key = caller
        if let named = body["key"]?.nonEmptyText {
            guard let entry = self.dependencies.keys.directory.entry(digest: KeySecret.digest(named: named)),
                call.isAdmin || entry === caller
            else { throw .keyNotFound }
            key = entry
        }
        let now = self.dependencies.clock.now()
        let entities = self.dependencies.keys.directory.entities
        let (path, terms) = entities.terms(
            for: key, customer: body["user"]?.nonEmptyText, tags: body["tags"]?.texts ?? [], now: now)
        var budgets = terms.budgets
        var limits = terms.limits
        var refusal = key.refusal(now: now) ?? path.refusal
        if let model = body["model"]?.nonEmptyText {
            refusal = refusal ?? path.refusal(ofModel: model, group: model)
            for part in terms.models where part.binds(model) {
                budgets += part.budgets
                limits += part.limits
            }
        }
        let standings = (budgets.map { EscrowTerms($0) } + limits.map { EscrowTerms($0) }).map { terms in
            // Without an account nothing has been asked of this pod yet, and the limit is all that is known here.
            self.dependencies.escrow?.account(id: terms.id)?.standing(now: now)
                ?? AccountStanding(
                    terms: terms, left: terms.limit, used: 0, resetsAt: Self.end(of: terms, at: now))
        }
        let first = standings.first { $0.left <= 0 }
        return ControlReply.object([
            JSONMember("allowed", .bool(refusal == nil && first == nil)),
            JSONMember("refusal", .optional(refusal?.message ?? first.map { Self.name($0.terms) + " is used up" })),
            JSONMember("checks", .array(standings.map { Self.value($0) })),
        ])
    }

    private static func end(of terms: EscrowTerms, at now: UnixMicroseconds) -> UnixMicroseconds? {
        let end = terms.bounds(at: now).end
        return end == .max ? nil : UnixMicroseconds(rawValue: end)
    }

    private static func name(_ terms: EscrowTerms) -> String {
        "\(terms.unit.limitName) of \(terms.subject.kind.name)"
    }

    private static func value(_ standing: AccountStanding) -> JSONValue {
        let terms = standing.terms
        func amount(_ value: Int64) -> JSONValue {
            terms.unit == .money ? .money(NanoUSD(rawValue: value)) : .integer(value)
        }
        return .object([
            JSONMember("subject", .string(terms.subject.kind.name)),
            JSONMember("id", .string(terms.subject.id)),
            JSONMember("type", .string(terms.unit.limitName)),
            JSONMember("window", .optional(terms.label.isEmpty ? nil : terms.label)),
            JSONMember("mode", .string(terms.isStrict ? "strict" : "expected")),
            JSONMember("limit", amount(terms.limit)), JSONMember("left", amount(standing.left)),
            JSONMember("resets_at", .optional(standing.resetsAt?.iso8601)),
        ])
    }
}
