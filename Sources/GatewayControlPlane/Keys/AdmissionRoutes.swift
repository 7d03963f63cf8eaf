import GatewayAdmission
import GatewayCore

/// `POST /utils/admission`: which budgets and limits the calls of a key pass, and how they stand. Nothing is reserved.
///
/// Body: `{"key": "sk-... or its hash", "model": "gpt-5", "user": "customer", "tags": ["a"]}`, all optional; without
/// `key` the caller's own. Only the master key may ask for another's. Calls with `x-martlet-dry-run` come here with what
/// they would reserve in `demand`, and at each deployment in `deployments`. A caller that is no administrator is told of
/// deployments by name and room alone.
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
            let group = body["group"]?.nonEmptyText ?? model
            refusal = refusal ?? path.refusal(ofModel: model, group: group)
            for part in admission.models where part.binds(model) || part.binds(group) {
                budgets += part.budgets
                limits += part.limits
            }
        }
        let demand = Self.demand(body["demand"])
        let checks = self.checks(of: budgets.map { EscrowTerms($0) } + limits.map { EscrowTerms($0) }, demand, now)
        let first = checks.first { $0.isShort }
        let group = (body["group"] ?? body["model"])?.nonEmptyText
        let deployments = self.deployments(of: group, body["deployments"], demand, now, showsAll: call.seesAll)
        let isPassedOver = !deployments.isEmpty && deployments.allSatisfy { $0.isShort }
        return ControlReply.object([
            JSONMember("allowed", .bool(refusal == nil && first == nil && !isPassedOver)),
            JSONMember(
                "refusal",
                .optional(
                    refusal?.message ?? first.map { Self.name($0.standing.terms) + " is used up" }
                        ?? (isPassedOver ? "no deployment of \(group ?? "") has room" : nil))),
            JSONMember(
                "checks", .array(checks.map { Self.value($0.standing, demand, spendBaseline: key.rules.spendBaseline) })
            ),
            JSONMember("deployments", .array(deployments.map(\.value))),
        ])
    }

    private typealias Check = (standing: AccountStanding, isShort: Bool)

    private func checks(of terms: [EscrowTerms], _ demand: CallDemand?, _ now: UnixMicroseconds) -> [Check] {
        terms.map { terms in
            // Without an account nothing has been asked of this pod yet, and the limit is all that is known here. The
            // terms of one are those of its last call, which a change may have overtaken.
            var standing = AccountStanding(
                terms: terms, left: terms.limit, used: 0, resetsAt: Self.end(of: terms, at: now))
            if let known = self.dependencies.escrow?.account(id: terms.id)?.standing(now: now) {
                // What has rolled over into the window is in the limit of the account alone.
                if terms.rolloverMax > 0, known.terms.limit > terms.limit { standing.terms = known.terms }
                standing.used = known.used
                standing.left = max(0, standing.terms.limit - known.used)
            }
            return (standing, standing.left <= 0 || Self.needs(demand, of: terms) > standing.left)
        }
    }

    /// The deployments that would serve the call, each with what binds it; calls go to one that has room, or to the
    /// groups that are tried when none has.
    private func deployments(
        of group: String?, _ demands: JSONValue?, _ demand: CallDemand?, _ now: UnixMicroseconds, showsAll: Bool
    ) -> [(value: JSONValue, isShort: Bool)] {
        guard let group else { return [] }
        return self.dependencies.boundDeployments().serving(group: group).map { deployment in
            let demand = Self.demand(demands?[deployment.deploymentID]) ?? demand
            let checks = self.checks(of: deployment.terms, demand, now)
            let isShort = checks.contains { $0.isShort }
            var members = [
                JSONMember("model_id", .string(deployment.deploymentID)), JSONMember("has_room", .bool(!isShort)),
            ]
            if showsAll {
                members += [
                    JSONMember("model", .string(deployment.model)),
                    JSONMember("provider", .string(deployment.provider)),
                    JSONMember(
                        "checks", .array(checks.map { Self.value($0.standing, demand, spendBaseline: .zero) })),
                ]
            }
            return (.object(members), isShort)
        }
    }

    /// What the call would reserve, in nano-dollars and tokens. `nil`: no call was given.
    private static func demand(_ value: JSONValue?) -> CallDemand? {
        guard let value, let costMax = value["cost_max"]?.integer, let expected = value["cost_expected"]?.integer,
            let input = value["input_tokens"]?.integer, let output = value["output_tokens"]?.integer,
            [costMax, expected, input, output].allSatisfy({ (0...EscrowTerms.limitMax).contains($0) })
        else { return nil }
        return CallDemand(costMax: costMax, costExpected: expected, inputTokens: input, outputTokens: output)
    }

    /// Without which the account refuses: all of it where it is strict; where it is not, a call gets the rest.
    private static func needs(_ demand: CallDemand?, of terms: EscrowTerms) -> Int64 {
        guard let demand, terms.isStrict else { return 0 }
        return demand.amount(terms.unit, isStrict: true)
    }

    private static func end(of terms: EscrowTerms, at now: UnixMicroseconds) -> UnixMicroseconds? {
        let end = terms.bounds(at: now).end
        return end == .max ? nil : UnixMicroseconds(rawValue: end)
    }

    private static func name(_ terms: EscrowTerms) -> String {
        "\(terms.unit.limitName) of \(terms.subject.kind.name)"
    }

    private static func value(
        _ standing: AccountStanding, _ demand: CallDemand?, spendBaseline: NanoUSD
    ) -> JSONValue {
        let terms = standing.terms
        let isWatched = terms.isWatched
        let limit = standing.withoutBaseline(spendBaseline).terms.limit
        func amount(_ value: Int64) -> JSONValue {
            terms.unit == .money ? .money(NanoUSD(rawValue: value)) : .integer(value)
        }
        return .object(
            [
                JSONMember("subject", .string(terms.subject.kind.name)),
                JSONMember("id", .string(terms.subject.id)),
                JSONMember("type", .string(terms.unit.limitName)),
                JSONMember("window", .optional(terms.windowName)),
                JSONMember("mode", .string(terms.isStrict ? "strict" : "expected")),
                JSONMember("limit", isWatched ? .null : amount(limit)),
                JSONMember("left", isWatched ? .null : amount(standing.left)),
                JSONMember(
                    "soft_limit",
                    terms.softLimit.map { .money(NanoUSD(rawValue: $0 - (terms.limit - limit))) } ?? .null),
                JSONMember("resets_at", .optional(standing.resetsAt?.iso8601)),
            ] + (demand.map { [JSONMember("reserves", amount($0.amount(terms.unit, isStrict: terms.isStrict)))] } ?? [])
        )
    }
}
