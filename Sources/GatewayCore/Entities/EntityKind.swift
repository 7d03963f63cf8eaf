/// What an entity is. The numbers stand in stores and never change.
package enum EntityKind: UInt8, Hashable, Sendable, CaseIterable {
    case user = 1
    case team = 2
    case teamMember = 3
    case organization = 4
    case organizationMember = 5
    /// LiteLLM's end user.
    case customer = 6
    case tag = 7
    case budget = 8
    case accessGroup = 9

    /// As the change log and management answers say it.
    package var name: String {
        switch self {
        case .user: "user"
        case .team: "team"
        case .teamMember: "team_member"
        case .organization: "organization"
        case .organizationMember: "organization_member"
        case .customer: "customer"
        case .tag: "tag"
        case .budget: "budget"
        case .accessGroup: "access_group"
        }
    }

    package init?(name: some StringProtocol) {
        guard let kind = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = kind
    }
}

/// Names an entity: its kind and what its owner calls it. A membership is called by the team or organization and the
/// user, joined by a line feed, as `Subject` does.
package struct EntityID: Hashable, Sendable {
    package let kind: EntityKind
    package let text: String

    package init(_ kind: EntityKind, _ text: String) {
        self.kind = kind
        self.text = text
    }

    package static func teamMember(team: String, user: String) -> EntityID {
        EntityID(.teamMember, "\(team)\n\(user)")
    }

    package static func organizationMember(organization: String, user: String) -> EntityID {
        EntityID(.organizationMember, "\(organization)\n\(user)")
    }

    /// As the change log has it: the kind's name, a space, the text.
    package var reference: String { "\(self.kind.name) \(self.text)" }

    /// `nil`: no reference of a kind that this version knows.
    package init?(reference: String) {
        guard let space = reference.utf8.firstIndex(of: UInt8(ascii: " ")),
            let kind = EntityKind(name: reference[..<space])
        else { return nil }
        self.init(kind, String(reference[reference.index(after: space)...]))
    }
}
