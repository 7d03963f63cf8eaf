import Foundation
import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("What a call would pass")
struct AdmissionRouteTests {
    private static func budget(_ kind: SubjectKind, _ id: String, _ nanos: Int64, label: String = "1d") -> EscrowTerms {
        EscrowTerms(
            BudgetTerms(
                subject: Subject(kind, id), label: label, limit: NanoUSD(rawValue: nanos),
                window: label.isEmpty ? .lifetime : .calendar(.day, count: 1, timeZone: "Etc/UTC"), mode: .strict,
                softLimit: nil))
    }

    private static let provider = Self.budget(.provider, "openai", 2_000_000_000)
    private static let idle = Self.budget(.provider, "groq", 0, label: "")
    private static let own = EscrowTerms(
        LimitTerms(subject: Subject(.deployment, "d-1"), unit: .requests, window: .minute, value: 5))
    private static let bound = BoundDeployments(
        deployments: [
            BoundDeployment(
                deploymentID: "d-1", group: "gpt-4o", model: "up-4o", provider: "openai",
                terms: [Self.own, Self.provider]),
            BoundDeployment(deploymentID: "d-2", group: "gpt-4o", model: "other", provider: "azure", terms: []),
            BoundDeployment(
                deploymentID: "d-3", group: "openai/*", model: "*", provider: "openai", terms: [Self.provider]),
        ], providers: [Self.provider, Self.idle])

    private func deployments(_ answer: Answer) -> [[String: Any]] {
        answer.json["deployments"] as? [[String: Any]] ?? []
    }

    @Test("is told of each deployment of the group, with its budgets and limits, to administrators")
    func deployments() async throws {
        let fixture = ControlFixture(bound: Self.bound)
        let key = try await fixture.makeKey(#"{"max_budget":1}"#)
        let answer = await fixture.post("/utils/admission", #"{"key":"\#(key)","model":"gpt-4o"}"#)
        #expect(answer.json["allowed"] as? Bool == true, "\(answer.text)")
        let told = self.deployments(answer)
        #expect(told.map { $0["model_id"] as? String } == ["d-1", "d-2"])
        #expect(told.allSatisfy { $0["has_room"] as? Bool == true })
        let checks = told[0]["checks"] as? [[String: Any]] ?? []
        #expect(checks.map { $0["type"] as? String } == ["requests", "budget"])
        #expect(checks.map { $0["subject"] as? String } == ["deployment", "provider"])
        #expect((told[1]["checks"] as? [Any])?.isEmpty == true)
        let wildcard = await fixture.post("/utils/admission", #"{"model":"openai/gpt-5"}"#)
        #expect(self.deployments(wildcard).map { $0["model_id"] as? String } == ["d-3"])
        #expect(self.deployments(await fixture.post("/utils/admission", "{}")).isEmpty)
    }

    @Test("is told to callers by name and room alone")
    func callers() async throws {
        let fixture = ControlFixture(bound: Self.bound)
        let key = try await fixture.makeKey()
        let answer = await fixture.post("/utils/admission", #"{"model":"gpt-4o"}"#, key: key)
        #expect(self.deployments(answer).map { Set($0.keys) } == Array(repeating: ["model_id", "has_room"], count: 2))
        #expect(!answer.text.contains("up-4o"))
    }

    @Test("is refused when no deployment has room for what it would reserve there")
    func passedOver() async throws {
        let fixture = ControlFixture(bound: Self.bound)
        func ask(_ costs: [String: Int64]) async -> Answer {
            let parts = costs.map { id, cost in
                #""\#(id)":{"cost_max":\#(cost),"cost_expected":1,"input_tokens":1,"output_tokens":1}"#
            }
            return await fixture.post(
                "/utils/admission", #"{"model":"openai/x","deployments":{\#(parts.joined(separator: ","))}}"#)
        }
        #expect(await ask(["d-3": 2_000_000_000]).json["allowed"] as? Bool == true)
        let answer = await ask(["d-3": 2_000_000_001])
        #expect(answer.json["allowed"] as? Bool == false, "\(answer.text)")
        #expect(answer.json["refusal"] as? String == "no deployment of openai/x has room")
        #expect(self.deployments(answer).map { $0["has_room"] as? Bool } == [false])
    }

    @Test("shows what has rolled over into the window")
    func rolledOver() async throws {
        let registry = EscrowRegistry(onNeed: {})
        let fixture = ControlFixture(escrow: registry)
        let key = try await fixture.makeKey(#"{"max_budget":1,"budget_duration":"1d","budget_rollover_max":0.5}"#)
        let entry = try #require(fixture.directory.entry(digest: KeySecret.digest(of: key)))
        let now = fixture.clock.now()
        let terms = fixture.directory.entities.terms(for: entry, customer: nil, tags: [], now: now).terms
        let account = registry.account(EscrowTerms(try #require(terms.budgets.first)), at: 1)
        #expect(account.terms.rolloverMax == 500_000_000)
        _ = account.update { $0.reserve(1, now: now, at: 1) }
        let around = EscrowSurroundings(now: 1, pods: 1, isAlone: true, tickSeconds: 0.25, sequence: 0, applied: 0)
        let proposal = account.update { $0.proposal(around, now: now, isTick: true) }
        let entryOfStore = try #require(proposal)
        #expect(entryOfStore.rolloverMax == 500_000_000)
        account.update {
            $0.apply(
                EscrowGrant(
                    accountID: account.id, generation: 1, granted: 0, limit: 1_300_000_000, outstanding: 200_000_000,
                    spent: 0, windowEnd: .max, isUnderPressure: false), to: entryOfStore, at: 1)
        }
        let answer = await fixture.post("/utils/admission", #"{"key":"\#(key)"}"#)
        let check = try #require((answer.json["checks"] as? [[String: Any]])?.first, "\(answer.text)")
        #expect(check["limit"] as? Double == 1.3 && check["left"] as? Double == 1.1)
    }

    @Test("of providers is listed with what the present window has cost")
    func providers() async throws {
        let end = Self.provider.bounds(at: ManualWallClock().now()).end
        let standings = [
            EscrowStanding(
                accountID: Self.provider.id, name: "", generation: 3, limit: 2_000_000_000, outstanding: 900_000_000,
                spent: 700_000_000, windowEnd: end),
            // Of a window that is over.
            EscrowStanding(
                accountID: Self.idle.id, name: "", generation: 1, limit: 0, outstanding: 5, spent: 5, windowEnd: 1),
        ]
        let fixture = ControlFixture(bound: Self.bound, standings: standings)
        let answer = await fixture.get("/provider/budgets")
        let providers = answer.json["providers"] as? [String: [String: Any]] ?? [:]
        #expect(Set(providers.keys) == ["openai", "groq"], "\(answer.text)")
        #expect(providers["openai"]?["budget_limit"] as? Double == 2)
        #expect(providers["openai"]?["time_period"] as? String == "1d")
        #expect(providers["openai"]?["spend"] as? Double == 0.7)
        #expect((providers["openai"]?["budget_reset_at"] as? String)?.hasSuffix("Z") == true)
        #expect(providers["groq"]?["spend"] as? Double == 0 && providers["groq"]?["time_period"] is NSNull)
        #expect(await fixture.get("/provider/budgets", key: try await fixture.makeKey()).status == 403)
    }
}

@Suite("Limits and budgets that say how they are kept")
struct GovernanceStandardTests {
    private func facts(
        _ fields: String, _ change: (inout GovernanceStandard) -> Void = { _ in }, metadata: String = "{}"
    ) -> Governance {
        var standard = GovernanceStandard()
        change(&standard)
        let reader = GovernanceReader(timeZone: "Etc/UTC", standard: standard)
        let now = UnixMicroseconds(rawValue: 0)
        return reader.rules(
            of: KeyRecord(
                keyID: .masterKey, digest: KeySecret.digest(of: "sk-x"), keyName: "", alias: nil, models: [],
                maxBudget: NanoUSD(rawValue: 5), budgetDuration: "1d", expiresAt: nil, isBlocked: false, userID: nil,
                teamID: nil, metadata: metadata, otherFields: fields, createdBy: "", createdAt: now, updatedAt: now)
        ).governance
    }

    @Test("slide by default or by themselves")
    func slides() {
        let fields = #"{"rpm_limit":5,"tpd_limit":6,"max_parallel_requests":2,"model_rpm_limit":{"m":3}"#
        let fixed = self.facts(fields + "}")
        #expect(fixed.limits.map(\.window) == [.minute, .day, .minute])
        let sliding = self.facts(fields + #","rate_limit_window":"sliding"}"#)
        #expect(sliding.limits.map(\.window) == [.slidingMinute, .slidingDay, .minute])
        #expect(sliding.models.first?.limits.map(\.window) == [.slidingMinute])
        let standard = self.facts(fields + "}") { $0.slides = true }
        #expect(standard == sliding)
        #expect(self.facts(fields + #","rate_limit_window":"fixed"}"#) { $0.slides = true } == fixed)
        // A limit of one's own stands in for a shared one of the other kind.
        #expect(sliding.filled(from: fixed).limits == sliding.limits)
    }

    @Test("count the tokens that the configuration says")
    func tokens() {
        let fields = #"{"tpm_limit":5,"model_tpm_limit":{"m":3}}"#
        let output = self.facts(fields) { $0.tokenUnit = .outputTokens }
        #expect(output.limits.map(\.unit) == [.outputTokens])
        #expect(output.models.first?.limits.map(\.unit) == [.outputTokens])
    }

    @Test("roll over by default or by themselves, within a bound")
    func rollsOver() {
        func most(_ fields: String, _ byDefault: Bool = false) -> [Int64] {
            self.facts(fields) { $0.rollsOver = byDefault }.budgets.map(\.rolloverMax.rawValue)
        }
        #expect(most("{}") == [0])
        #expect(most("{}", true) == [5])
        #expect(most(#"{"budget_rollover":true}"#) == [5])
        #expect(most(#"{"budget_rollover":false}"#, true) == [0])
        #expect(most(#"{"budget_rollover_max":0.000000002}"#) == [2])
        #expect(most(#"{"budget_rollover_max":0.000000002,"budget_rollover":false}"#) == [0])
        let windows = #"{"budget_rollover":true,"budget_limits":[{"budget_duration":"7d","max_budget":0.000000009}]}"#
        #expect(most(windows) == [5, 9])
        let lifetime = BudgetTerms(
            subject: Subject(.key, "k"), label: "", limit: NanoUSD(rawValue: 9), window: .lifetime, mode: .strict,
            softLimit: nil)
        #expect(EscrowTerms(lifetime).rolloverMax == 0)
    }

    @Test("are refused with words that mean nothing")
    func wrong() async {
        let fixture = ControlFixture()
        #expect(await fixture.post("/key/generate", #"{"rate_limit_window":"rolling"}"#).status == 422)
        #expect(await fixture.post("/team/new", #"{"rate_limit_window":"rolling"}"#).status == 422)
        #expect(
            await fixture.post("/team/new", #"{"rate_limit_window":"sliding","budget_rollover":true}"#).status == 200)
    }
}
