import GatewayCore
import GatewayFleet
import GatewayLedger
import Logging

/// Keeps a start going while PostgreSQL restarts in the middle of it. Only what may be repeated goes through it.
struct StartPatience: Sendable {
    /// `false`: the store is a file, and what it cannot do now it cannot do in a minute either.
    let isPatient: Bool
    let logger: Logger

    private static let patience = Duration.seconds(600)
    private static let waitLeast = Duration.milliseconds(100)
    private static let waitMost = Duration.seconds(2)

    /// Does the step again while the store cannot be reached.
    /// - Throws: what the step threw, at once unless it was `LedgerError.unavailable`, and that after ten minutes.
    @discardableResult func step<Result>(_ body: () async throws -> Result) async throws -> Result {
        let begin = FleetTime.system.now()
        var wait = Self.waitLeast
        while true {
            do {
                return try await body()
            } catch LedgerError.unavailable(let reason)
                where self.isPatient && FleetTime.system.now() - begin < Self.patience
            {
                if wait == Self.waitLeast {
                    self.logger.warning(
                        "The start waits for the store", metadata: ["error.message": "\(reason)"])
                }
                try await FleetTime.system.sleep(wait)
                wait = min(wait * 2, Self.waitMost)
            }
        }
    }
}
