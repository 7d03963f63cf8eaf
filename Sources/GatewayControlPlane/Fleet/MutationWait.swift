import GatewayCore
import GatewayLedger

/// Whether the caller of a change wants to wait until it is in force on every live pod: `?wait=fleet`, or the header
/// `x-martlet-wait: fleet`; `?wait_timeout_ms=` bounds the wait, 1...5000.
///
/// | `x-martlet-fleet` | means |
/// |---|---|
/// | `acknowledged` | in force on every live pod |
/// | `partial` | not on those that `x-martlet-fleet-laggards` names as `name:pid`, within the bound |
/// | `unknown` | the store could not be asked what the others have |
///
/// The status is the change's own: it was carried out in any case.
struct MutationWait {
    private static let longestMilliseconds = 5000
    /// Laggards that are named; of more, only their number is told.
    private static let namedMax = 32

    /// `nil`: the caller does not wait.
    private let timeout: Duration?

    /// Read before the change is carried out, so that a mistake in it changes nothing.
    init(_ call: ControlCall) throws(ControlRefusal) {
        let header = call.request.headers.last { $0.name == "x-martlet-wait" }?.value
        let milliseconds = try call.query.integer(
            "wait_timeout_ms", in: 1...Self.longestMilliseconds, standard: Self.longestMilliseconds)
        switch call.query["wait"] ?? header {
        case nil, "": self.timeout = nil
        case "fleet": self.timeout = .milliseconds(milliseconds)
        default: throw .badRequest("wait can only be \"fleet\": until all pods have the change.", param: "wait")
        }
    }

    /// Tells the fleet of the change and waits if the caller does.
    func finish(_ response: ControlResponse, fleet: (any FleetDirectory)?) async -> ControlResponse {
        guard response.status < 400 else { return response }
        guard let timeout = self.timeout else {
            fleet?.noteMutation()
            return response
        }
        var response = response
        guard let wait = await fleet?.waitForFleet(timeout: timeout) else {
            response.headers.append(("x-martlet-fleet", "acknowledged"))
            return response
        }
        let state = wait.isAcknowledged ? "acknowledged" : wait.isKnown ? "partial" : "unknown"
        response.headers.append(("x-martlet-fleet", state))
        if !wait.laggards.isEmpty {
            response.headers.append(("x-martlet-fleet-laggards", Self.names(wait.laggards)))
        }
        return response
    }

    private static func names(_ pods: [FleetWait.Pod]) -> String {
        let names = pods.prefix(Self.namedMax).map { "\(Self.headerSafe($0.name)):\($0.processID)" }
        let more = pods.count - names.count
        return names.joined(separator: ",") + (more > 0 ? ",+\(more)" : "")
    }

    /// A pod's name is its operator's text; here it may hold only what cannot be mistaken for the list around it.
    private static func headerSafe(_ name: String) -> String {
        let safe = name.utf8.prefix(128).map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: ":"), ...0x20, 0x7F...: UInt8(ascii: "_")
            default: byte
            }
        }
        return String(decoding: safe, as: UTF8.self)
    }
}
