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
        let (path, admission) = entities.terms(
            for: key, customer: body["user"]?.nonEmptyText, tags: body["tags"]?.texts ?? [], now: now)
        var budgets = admission.budgets
        var limits = admission.limits
        var refusal = key.refusal(now: now) ?? path.refusal
        if let model = body["model"]?.nonEmptyText {
            refusal = refusal ?? path.refusal(ofModel: model, group: model)
            for part in admission.models where part.binds(model) {
                budgets += part.budgets
                limits += part.limits
            }
        }
        let terms = budgets.map { EscrowTerms($0) } + limits.map { EscrowTerms($0) }
        let standings = terms.map { terms in
            // Without an account nothing has been asked of this pod yet, and the limit is all that is known here. The
            // terms of one are those of its last call, which a change may have overtaken.
            let used = self.dependencies.escrow?.account(id: terms.id)?.standing(now: now).used ?? 0
            return AccountStanding(
                terms: terms, left: max(0, terms.limit - used), used: used,
                resetsAt: Self.end(of: terms, at: now))
        }
        let first = standings.first { $0.left <= 0 }
        return ControlReply.object([
            JSONMember("allowed", .bool(refusal == nil && first == nil)),
            JSONMember("refusal", .optional(refusal?.message ?? first.map { Self.name($0.terms) + " is used up" })),
            JSONMember("checks", .array(standings.map { Self.value($0, spendBaseline: key.rules.spendBaseline) })),
        ])
    }

    private static func end(of terms: EscrowTerms, at now: UnixMicroseconds) -> UnixMicroseconds? {
        let end = terms.bounds(at: now).end
        return end == .max ? nil : UnixMicroseconds(rawValue: end)
    }

    private static func name(_ terms: EscrowTerms) -> String {
        "\(terms.unit.limitName) of \(terms.subject.kind.name)"
    }

    private static func value(_ standing: AccountStanding, spendBaseline: NanoUSD) -> JSONValue {
        let terms = standing.terms
        let limit = standing.withoutBaseline(spendBaseline).terms.limit
        func amount(_ value: Int64) -> JSONValue {
            terms.unit == .money ? .money(NanoUSD(rawValue: value)) : .integer(value)
        }
        return .object([
            JSONMember("subject", .string(terms.subject.kind.name)),
            JSONMember("id", .string(terms.subject.id)),
            JSONMember("type", .string(terms.unit.limitName)),
            JSONMember("window", .optional(terms.windowName)),
            JSONMember("mode", .string(terms.isStrict ? "strict" : "expected")),
            JSONMember("limit", amount(limit)), JSONMember("left", amount(standing.left)),
            JSONMember("resets_at", .optional(standing.resetsAt?.iso8601)),
        ])
    }
}
