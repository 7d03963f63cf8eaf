import GatewayCore

/// Gathers a key's owners into its path: key, user, team, member of the team, organization, member of the organization,
/// tags.
struct PathBuilder {
    private let directory: EntityDirectory
    private let key: KeyEntry
    private let now: UnixMicroseconds
    private var terms = AdmissionTerms.none
    private var validUntil: UnixMicroseconds?

    init(directory: EntityDirectory, key: KeyEntry, now: UnixMicroseconds) {
        self.directory = directory
        self.key = key
        self.now = now
    }

    consuming func path(generation: UInt64) -> AdmissionPath {
        let record = self.key.record
        let rules = self.key.rules
        let user = self.directory.entry(.user, record.userID)
        let team = self.directory.entry(.team, record.teamID)
        let organizationID = rules.organizationID ?? team?.record.parent
        let organization = self.directory.entry(.organization, organizationID)
        self.add(Subject(.key, record.keyID.text), rules.governance, budgetID: rules.budgetID)
        if let user { self.addUser(user) }
        if let team {
            self.add(Subject(.team, team.record.id.text), team.facts.governance, budgetID: team.facts.budgetID)
        }
        let member = self.addTeamMember(of: team)
        if let organization {
            self.add(
                Subject(.organization, organization.record.id.text), organization.facts.governance,
                budgetID: organization.facts.budgetID)
        }
        if let organizationID, let userID = record.userID,
            let member = self.directory.entry(.organizationMember(organization: organizationID, user: userID))
        {
            self.add(
                Subject(.organizationMember, member.record.id.text), member.facts.governance,
                budgetID: member.facts.budgetID)
        }
        var tags: [String] = []
        for tag in rules.tags + (team?.facts.tags ?? []) where !tags.contains(tag) {
            tags.append(tag)
            self.directory.add(tag: tag, to: &self.terms, now: self.now)
        }
        let configuration = self.directory.configuration
        let proxy = Governance(
            budgets: configuration.proxyBudget.map { [$0] } ?? [], hasMainBudget: configuration.proxyBudget != nil,
            increase: nil, mode: nil, limits: configuration.proxyLimits, models: [])
        self.terms.add(Subject(.proxy, ""), proxy, standard: configuration.budgetMode, now: self.now)
        let blocked = [team, organization, user].compactMap { $0 }.first { $0.facts.isBlocked }
        return AdmissionPath(
            generation: generation, validUntil: self.validUntil, terms: self.terms, organizationID: organizationID,
            tags: tags, refusal: blocked.map { .blocked($0.record.id) },
            modelLists: self.modelLists(user: user, team: team, member: member, organization: organization))
    }

    private mutating func add(_ subject: Subject, _ own: Governance, budgetID: String?) {
        let governance = self.directory.governance(own, budgetID: budgetID)
        if let increase = governance.increase, self.now < increase.until {
            self.validUntil = min(self.validUntil ?? increase.until, increase.until)
        }
        self.terms.add(subject, governance, standard: self.directory.configuration.budgetMode, now: self.now)
    }

    /// A user's budget is for its own keys; its limits bind all of them.
    private mutating func addUser(_ user: EntityEntry) {
        var governance = self.directory.governance(user.facts.governance, budgetID: user.facts.budgetID)
        if self.key.record.teamID != nil, !self.directory.configuration.userBudgetBindsTeamKeys {
            governance.budgets = []
            governance.hasMainBudget = false
            governance.increase = nil
        }
        self.add(Subject(.user, user.record.id.text), governance, budgetID: nil)
    }

    private mutating func addTeamMember(of team: EntityEntry?) -> EntityEntry? {
        guard let team, let userID = self.key.record.userID else { return nil }
        let id = EntityID.teamMember(team: team.record.id.text, user: userID)
        let member = self.directory.entry(id)
        let own = self.directory.governance(member?.facts.governance ?? .none, budgetID: member?.facts.budgetID)
        self.add(Subject(.teamMember, id.text), own.filled(from: team.facts.memberGovernance), budgetID: nil)
        return member
    }

    private func modelLists(
        user: EntityEntry?, team: EntityEntry?, member: EntityEntry?, organization: EntityEntry?
    ) -> [AdmissionPath.ModelList] {
        var lists: [(owner: String, names: [String])] = []
        let own = self.key.record.models
        // A key of the whole team may use what the team may, which is the next list.
        if team == nil || !own.contains("all-team-models") { lists.append(("key", own)) }
        if let team { lists.append(("team", team.facts.models)) }
        if let member { lists.append(("team_member", member.facts.models)) }
        if let user, team == nil { lists.append(("user", user.facts.models)) }
        if let organization { lists.append(("org", organization.facts.models)) }
        return lists.filter { !$0.names.isEmpty }.map { list in
            AdmissionPath.ModelList(owner: list.owner, names: list.names, matcher: self.directory.matcher(list.names))
        }
    }
}
