import GatewayCore

/// `GET /routes`: what this control plane answers.
struct RouteListing: ControlRoom {
    private let listed: [ControlRoute]

    init(routes: [ControlRoute]) { self.listed = routes }

    var routes: [ControlRoute] { [ControlRoute("GET", "/routes", .anyKey, self.list)] }

    private func list(_ call: ControlCall) async throws(ControlRefusal) -> ControlResponse {
        var methods: [String: [String]] = ["/routes": ["GET"]]
        for route in self.listed { methods[route.path, default: []].append(route.method) }
        let entries = methods.sorted { $0.key < $1.key }.map { path, methods in
            JSONValue.object([JSONMember("path", .string(path)), JSONMember("methods", .strings(methods.sorted()))])
        }
        return ControlReply.object([JSONMember("routes", .array(entries))])
    }
}
