import GatewayAdmission
import GatewayCore
import GatewayLedger

/// `GET /provider/budgets`: what calls of providers may cost, and what they have cost in the present window, of all pods
/// together as far as they have reported it; LiteLLM's form.
struct ProviderBudgetRoutes: ControlRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] { [ControlRoute("GET", "/provider/budgets", .admin, self.list)] }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let budgets = self.dependencies.boundDeployments().providers
        let now = self.dependencies.clock.now()
        let standings: [EscrowStanding]
        do throws(LedgerError) {
            standings = try await self.dependencies.escrowStandings(budgets.map(\.id))
        } catch { throw .store(error) }
        let spent = Dictionary(standings.map { ($0.accountID, $0) }) { first, _ in first }
        let members = budgets.map { terms -> JSONMember in
            // A window that is over stands in the store until somebody asks in the next one.
            let standing = spent[terms.id].flatMap { $0.windowEnd > now.rawValue ? $0 : nil }
            let end = terms.bounds(at: now).end
            return JSONMember(
                terms.subject.id,
                .object([
                    JSONMember("budget_limit", .money(NanoUSD(rawValue: terms.limit))),
                    JSONMember("time_period", .optional(terms.windowName)),
                    JSONMember("spend", .money(NanoUSD(rawValue: standing?.spent ?? 0))),
                    JSONMember(
                        "budget_reset_at",
                        .optional(end == .max ? nil : UnixMicroseconds(rawValue: end).iso8601)),
                ]))
        }
        return ControlReply.object([JSONMember("providers", .object(members))])
    }
}
