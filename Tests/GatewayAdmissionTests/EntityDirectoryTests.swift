import GatewayAdmission
import GatewayCore
import Testing

@Suite("An entity directory")
struct EntityDirectoryTests {
    private static let now = UnixMicroseconds(rawValue: 1_763_800_000_000_000)
    private let entities: EntityDirectory
    private let keys: KeyDirectory

    init() {
        self.entities = EntityDirectory(configuration: .standard)
        self.keys = KeyDirectory(entities: self.entities)
    }

    private static func governance(
        _ budget: Int64?, requests: Int64? = nil, models: [ModelRule] = [], increase: BudgetIncrease? = nil
    ) -> Governance {
        Governance(
            budgets: budget.map { [Self.rule($0)] } ?? [], hasMainBudget: budget != nil, increase: increase, mode: nil,
            limits: requests.map { [LimitRule(unit: .requests, window: .minute, value: $0)] } ?? [], models: models)
    }

    private static func rule(_ budget: Int64) -> BudgetRule {
        BudgetRule(label: "", limit: NanoUSD(rawValue: budget), window: .lifetime, softLimit: nil)
    }

    private func set(
        _ id: EntityID, _ governance: Governance = .none, parent: String? = nil, models: [String] = [],
        isBlocked: Bool = false, budgetID: String? = nil, member: Governance = .none, tags: [String] = []
    ) {
        self.entities.set(
            EntityRecord(
                id: id, alias: nil, email: nil, role: nil, parent: parent, member: nil, fields: "{}", createdBy: "",
                createdAt: Self.now, updatedAt: Self.now, revision: 1),
            facts: EntityFacts(
                isBlocked: isBlocked, models: models, governance: governance, budgetID: budgetID,
                memberGovernance: member, tags: tags))
    }

    private func key(
        user: String? = nil, team: String? = nil, _ governance: Governance = .none, models: [String] = [],
        organization: String? = nil, budgetID: String? = nil, tags: [String] = []
    ) -> KeyEntry {
        self.keys.set(
            KeyRecord(
                keyID: VirtualKeyID(UUIDBits(high: 1, low: 2)), digest: KeyDigest((1, 2, 3, 4)), keyName: "k",
                alias: nil, models: models, maxBudget: nil, budgetDuration: nil, expiresAt: nil, isBlocked: false,
                userID: user, teamID: team, metadata: "{}", otherFields: "{}", createdBy: "", createdAt: Self.now,
                updatedAt: Self.now),
            rules: KeyRules(
                governance: governance, budgetID: budgetID, organizationID: organization, tags: tags, routes: .all,
                spendBaseline: .zero),
            startingSpend: .zero, isMaster: false)
    }

    private func budgets(_ key: KeyEntry, customer: String? = nil, tags: [String] = []) -> [String] {
        self.entities.terms(for: key, customer: customer, tags: tags, now: Self.now).terms.budgets.map {
            "\($0.subject.kind.name) \($0.subject.id.replacing("\n", with: "/")) \($0.limit.rawValue)"
        }
    }

    @Test("gathers what binds a call from all owners of its key")
    func gathersTerms() {
        self.set(EntityID(.user, "ann"), Self.governance(2, requests: 20))
        self.set(EntityID(.team, "t"), Self.governance(3), parent: "o", member: Self.governance(40), tags: ["x"])
        self.set(.teamMember(team: "t", user: "ann"), Self.governance(4))
        self.set(EntityID(.organization, "o"), Self.governance(5))
        self.set(.organizationMember(organization: "o", user: "ann"), Self.governance(6))
        self.set(EntityID(.customer, "c"), Self.governance(7))
        self.set(EntityID(.tag, "x"), Self.governance(8))
        self.set(EntityID(.tag, "y"), Self.governance(9))
        let key = self.key(user: "ann", team: "t", Self.governance(1), tags: ["x"])
        let id = key.record.keyID.text
        #expect(
            self.budgets(key, customer: "c", tags: ["y", "x", "y", "unknown"]) == [
                "key \(id) 1", "team t 3", "team_member t/ann 4", "organization o 5", "organization_member o/ann 6",
                "tag x 8", "customer c 7", "tag y 9",
            ])
        #expect(self.entities.path(of: key, now: Self.now).terms.limits.map(\.subject) == [Subject(.user, "ann")])
        #expect(self.budgets(self.key(user: "bob", team: "t")).contains("team_member t/bob 40"))
        #expect(self.budgets(self.key(user: "ann")) == ["user ann 2"])
        #expect(self.budgets(self.key(user: "nobody", team: "none")) == [])
    }

    @Test("fills what owners leave open from the budget that they name")
    func sharesBudgets() {
        self.set(EntityID(.budget, "b"), Self.governance(50, requests: 5))
        self.set(EntityID(.customer, "c"), budgetID: "b")
        self.set(EntityID(.customer, "d"), Self.governance(1), budgetID: "b")
        let key = self.key(budgetID: "b")
        #expect(self.budgets(key, customer: "c") == ["key \(key.record.keyID.text) 50", "customer c 50"])
        let (_, terms) = self.entities.terms(for: key, customer: "d", tags: [], now: Self.now)
        #expect(terms.budgets.map(\.limit.rawValue) == [50, 1] && terms.limits.map(\.value) == [5, 5])
    }

    @Test("keeps a key's path until something changes, and no longer than a temporary increase")
    func cachesPaths() {
        let until = Self.now.advanced(bySeconds: 10)
        self.set(
            EntityID(.team, "t"),
            Self.governance(3, increase: BudgetIncrease(amount: NanoUSD(rawValue: 4), until: until)))
        let key = self.key(team: "t")
        let first = self.entities.path(of: key, now: Self.now)
        #expect(first === self.entities.path(of: key, now: until.advanced(bySeconds: -1)))
        #expect(first.terms.budgets.map(\.limit.rawValue) == [7] && first.validUntil == until)
        #expect(self.entities.path(of: key, now: until).terms.budgets.map(\.limit.rawValue) == [3])
        self.set(EntityID(.tag, "x"))
        let second = self.entities.path(of: key, now: Self.now)
        #expect(first !== second && second.generation > first.generation)
        self.entities.remove(EntityID(.team, "t"))
        #expect(self.entities.path(of: key, now: Self.now).terms == .none)
    }

    @Test("refuses calls of blocked owners in LiteLLM's words")
    func refusesBlocked() {
        let key = self.key(user: "ann", team: "t")
        self.set(EntityID(.team, "t"), parent: "o")
        #expect(self.entities.path(of: key, now: Self.now).refusal == nil)
        self.set(EntityID(.organization, "o"), isBlocked: true)
        #expect(self.entities.path(of: key, now: Self.now).refusal?.status == 403)
        self.set(EntityID(.team, "t"), parent: "o", isBlocked: true)
        let refusal = self.entities.path(of: key, now: Self.now).refusal
        #expect(refusal?.status == 401 && refusal?.message.contains("Team=t is blocked") == true)
        self.set(EntityID(.customer, "c"), isBlocked: true)
        #expect(self.entities.refusal(customer: "c", model: "m", group: "m")?.status == 400)
        #expect(self.entities.refusal(customer: "d", model: "m", group: "m") == nil)
    }

    @Test("allows the models that the key and all its owners allow")
    func intersectsModels() {
        self.entities.set(configuredGroups: ["beta": ["gpt-5"]])
        self.set(EntityID(.accessGroup, "beta"), models: ["claude-*"])
        self.set(EntityID(.team, "t"), parent: "o", models: ["beta", "gpt-4o"])
        self.set(EntityID(.organization, "o"), models: ["gpt-*", "claude-opus"])
        self.set(EntityID(.user, "ann"), models: ["none"])
        let path = self.entities.path(of: self.key(user: "ann", team: "t", models: ["all-team-models"]), now: Self.now)
        let models = ["gpt-5", "gpt-4o", "claude-opus", "claude-haiku", "gpt-3"]
        #expect(models.filter { path.allows($0) } == ["gpt-5", "gpt-4o", "claude-opus"])
        #expect(path.refusal(ofModel: "gpt-3", group: "gpt-3")?.type == "team_model_access_denied")
        #expect(path.refusal(ofModel: "claude-haiku", group: "claude-*")?.type == "org_model_access_denied")
        let own = self.entities.path(of: self.key(user: "ann", models: ["gpt-3"]), now: Self.now)
        #expect(own.refusal(ofModel: "x", group: "x")?.type == "key_model_access_denied")
        #expect(own.refusal(ofModel: "gpt-3", group: "gpt-3")?.type == "user_model_access_denied")
    }

    @Test("binds models within keys and teams apart")
    func bindsModels() {
        let rule = ModelRule(
            model: "gpt-*", budgets: [Self.rule(9)], limits: [LimitRule(unit: .tokens, window: .minute, value: 3)])
        self.set(EntityID(.team, "t"), Self.governance(nil, models: [rule]))
        let terms = self.entities.path(of: self.key(team: "t"), now: Self.now).terms
        #expect(
            terms.budgets.isEmpty
                && terms.models.map { $0.budgets.map(\.subject) } == [[Subject(.teamModel, "t\ngpt-*")]])
        #expect(terms.models[0].binds("gpt-5") && !terms.models[0].binds("claude"))
    }

    @Test("holds no more of a kind than it may, and no customers that restrict nothing")
    func isBounded() {
        let small = EntityDirectory(
            configuration: EntityDirectoryConfiguration(
                budgetMode: .strict, userBudgetBindsTeamKeys: false, customerBudgetID: nil, countMax: 1))
        func record(_ id: EntityID) -> EntityRecord {
            EntityRecord(
                id: id, alias: nil, email: nil, role: nil, parent: nil, member: nil, fields: "{}", createdBy: "",
                createdAt: Self.now, updatedAt: Self.now, revision: 1)
        }
        small.set(record(EntityID(.customer, "c")), facts: .none)
        #expect(small.hasRoom(for: .customer) && small.entry(EntityID(.customer, "c")) == nil)
        small.set(record(EntityID(.team, "t")), facts: .none)
        small.set(record(EntityID(.team, "t")), facts: .none)
        #expect(!small.hasRoom(for: .team) && small.hasRoom(for: .user))
        small.remove(EntityID(.team, "t"))
        #expect(small.hasRoom(for: .team))
    }

    @Test("lets keys call only the routes that they may")
    func routes() {
        #expect(RouteRules.all.allows("/x", family: .management) && RouteRules.all.allowsAllCalls)
        let calls = RouteRules(["llm_api_routes"])
        #expect(calls.allows("/v1/chat/completions", family: .call) && !calls.allows("/key/info", family: .info))
        let paths = RouteRules(["/chat/completions", "/key/*"])
        #expect(paths.allows("/v1/chat/completions", family: .call) && paths.allows("/key/list", family: .info))
        #expect(!paths.allows("/v1/embeddings", family: .call) && !paths.allowsAllCalls)
        #expect(RouteRules(["info_routes"]).allows("/team/info", family: .info))
        #expect(!RouteRules(["info_routes"]).allows("/team/new", family: .management))
    }
}
