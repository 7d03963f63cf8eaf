import GatewayCore
import GatewayLedger

extension PostgresStore {
    private static func spendStatement(_ name: String, _ key: String) -> PostgresStatement {
        PostgresStatement(
            name, isRead: true,
            """
            SELECT \(key), \(FoldSQL.clamp("sum(t.spend)")) FROM {s}.payer p JOIN {s}.usage_total t USING (payer_id)
            WHERE \(key) = ANY ($1) GROUP BY 1
            """)
    }
    private static let userSpend = PostgresStore.spendStatement("user_spend", "p.user_id")
    private static let teamSpend = PostgresStore.spendStatement("team_spend", "p.team_id")
    private static let memberSpend = PostgresStore.spendStatement("member_spend", "p.team_id || chr(10) || p.user_id")

    package func spend(of kind: EntityKind, ids: [String]) async throws(LedgerError) -> [String: NanoUSD] {
        let statement: PostgresStatement
        switch kind {
        case .user: statement = Self.userSpend
        case .team: statement = Self.teamSpend
        case .teamMember: statement = Self.memberSpend
        case .organization, .organizationMember, .customer, .tag, .budget, .accessGroup: return [:]
        }
        var parameters = PostgresParameters()
        parameters.textArray(ids) { $0 }
        let rows = try await self.run(statement, parameters, on: self.reader)
        return (0..<rows.count).reduce(into: [:]) { spend, row in
            spend[rows.text(row, 0)] = NanoUSD(rawValue: rows.integer(row, 1))
        }
    }
}
