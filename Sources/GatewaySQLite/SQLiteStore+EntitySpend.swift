import GRDB
import GatewayCore
import GatewayLedger

extension SQLiteStore {
    package func spend(of kind: EntityKind, ids: [String]) async throws(LedgerError) -> [String: NanoUSD] {
        guard let source = Self.spendSource(kind) else { return [:] }
        return try await self.read { database in
            var spend: [String: NanoUSD] = [:]
            for id in ids {
                let parts = try SQLStatement.all(database, source.text, source.values(id)) { $0.integer(0) }
                if !parts.isEmpty { spend[id] = NanoUSD(rawValue: parts.reduce(0, saturatingSum)) }
            }
            return spend
        }
    }

    /// What selects the sums of an entity. `nil`: nothing is counted under its kind.
    private static func spendSource(_ kind: EntityKind) -> (text: String, values: @Sendable (String) -> [SQLValue])? {
        func select(_ condition: String) -> String {
            "SELECT spend FROM usage_total WHERE payer_id IN (SELECT id FROM payer WHERE \(condition))"
        }
        switch kind {
        case .user: return (select("user_id = ?1"), { [.text($0)] })
        case .team: return (select("team_id = ?1"), { [.text($0)] })
        case .teamMember:
            return (
                select("team_id = ?1 AND user_id = ?2"),
                { id in
                    let parts = id.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
                    return [.text(String(parts[0])), .text(parts.count > 1 ? String(parts[1]) : "")]
                }
            )
        case .organization, .organizationMember, .customer, .tag, .budget, .accessGroup: return nil
        }
    }
}
