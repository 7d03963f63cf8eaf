/// A user, team, member, organization, customer, tag, budget or access group as the store keeps it. What stores search
/// for has a field of its own; everything else is `fields`.
package struct EntityRecord: Sendable, Equatable {
    package var id: EntityID
    /// For people: `team_alias` and its like. Not unique.
    package var alias: String?
    /// Of a user. Unique among users by the management API's check only.
    package var email: String?
    /// Of a user in the proxy, of a member in its team or organization.
    package var role: String?
    /// A team's organization; a membership's team or organization.
    package var parent: String?
    /// A membership's user.
    package var member: String?
    /// LiteLLM's fields as one JSON object.
    package var fields: String
    package var createdBy: String
    package var createdAt: UnixMicroseconds
    package var updatedAt: UnixMicroseconds
    /// Grows by one with each change in the store. A change must bring the number that it was made from.
    package var revision: Int64

    package init(
        id: EntityID, alias: String?, email: String?, role: String?, parent: String?, member: String?, fields: String,
        createdBy: String, createdAt: UnixMicroseconds, updatedAt: UnixMicroseconds, revision: Int64
    ) {
        self.id = id
        self.alias = alias
        self.email = email
        self.role = role
        self.parent = parent
        self.member = member
        self.fields = fields
        self.createdBy = createdBy
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.revision = revision
    }
}
