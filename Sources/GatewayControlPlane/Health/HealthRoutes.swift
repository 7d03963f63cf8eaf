import GatewayAdmission
import GatewayCore

/// Whether the pod lives, whether it wants calls, and who it is. Never asks the store: a probe must not hang with it.
struct HealthRoutes: ControlRoom {
    let dependencies: ControlPlaneDependencies

    var routes: [ControlRoute] {
        ["/health/liveliness", "/health/liveness", "/livez"].map { ControlRoute("GET", $0, .open, self.liveness) }
            + ["/health/readiness", "/readyz"].map { ControlRoute("GET", $0, .open, self.readiness) } + [
                ControlRoute("GET", "/", .open, self.root)
            ]
    }

    private func liveness(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        ControlReply.json(.string("I'm alive!"))
    }

    private func readiness(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        let journal = await self.dependencies.journalStatus()
        let readiness = self.dependencies.readiness.state
        let (status, reason): (String, String?) =
            switch readiness {
            case .starting: ("starting", nil)
            case .ready: (journal.isStoreReachable ? "connected" : "healthy", nil)
            case .degraded(let reason): ("degraded", reason)
            case .unfit(let reason): ("unfit", reason)
            case .draining: ("draining", nil)
            }
        let acceptsCalls =
            switch readiness {
            case .ready, .degraded: true
            case .starting, .unfit, .draining: false
            }
        var response = ControlReply.object(
            [
                JSONMember("status", .string(status)),
                JSONMember("db", .string(journal.isStoreReachable ? "connected" : "Not connected")),
                JSONMember("reason", .optional(reason)), JSONMember("journal", .string(journal.state)),
                JSONMember("version", .string(self.dependencies.pod.version)),
            ], status: acceptsCalls ? 200 : 503)
        if !acceptsCalls { response.headers.append(("retry-after", "1")) }
        return response
    }

    private func root(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        ControlReply.object([
            JSONMember("name", .string("martlet")), JSONMember("version", .string(self.dependencies.pod.version)),
            JSONMember("docs", .string("/routes")),
        ])
    }
}
