import GatewayCore
import GatewayLedger

extension EntityRoom {
    /// A team's row with its members, as LiteLLM shows it.
    func team(_ record: EntityRecord) async throws(ControlRefusal) -> [JSONMember] {
        let members = try await self.reading.members(of: .teamMember, parent: record.id.text)
        return try await self.team(record, members)
    }

    func team(_ record: EntityRecord, _ members: [EntityRecord]) async throws(ControlRefusal) -> [JSONMember] {
        let row = try await self.rendered(record)
        let emails = try await self.emails(of: members.compactMap(\.member))
        let shown = members.map { member -> JSONValue in
            .object([
                JSONMember("role", .string(member.role ?? "user")), JSONMember("user_id", .optional(member.member)),
                JSONMember("user_email", .optional(member.member.flatMap { emails[$0] })),
            ])
        }
        return row + [
            JSONMember("admins", .strings(members.filter { $0.role == "admin" }.compactMap(\.member))),
            JSONMember("members", .strings(members.compactMap(\.member))),
            JSONMember("members_with_roles", .array(shown)),
        ]
    }

    private func emails(of users: [String]) async throws(ControlRefusal) -> [String: String] {
        var emails: [String: String] = [:]
        var rest = users[...]
        while !rest.isEmpty {
            var query = EntityQuery(.user, offset: 0, limit: 1000)
            query.ids = Array(rest.prefix(1000))
            for user in try await self.reading.page(query).records { emails[user.id.text] = user.email }
            rest = rest.dropFirst(1000)
        }
        return emails
    }
}
