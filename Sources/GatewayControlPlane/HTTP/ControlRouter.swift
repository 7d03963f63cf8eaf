/// Finds the route of a request. Exact paths come before patterns, whatever the order of the table.
struct ControlRouter: Sendable {
    enum Match: Sendable {
        case route(ControlRoute, argument: String)
        /// The path exists, the method does not; the methods that do.
        case wrongMethod(allowed: [String])
        case none
    }

    private let exact: [String: [ControlRoute]]
    private let patterns: [ControlRoute]
    let routes: [ControlRoute]

    init(_ rooms: [any ControlRoom]) {
        self.routes = rooms.flatMap(\.routes)
        var exact: [String: [ControlRoute]] = [:]
        var patterns: [ControlRoute] = []
        for route in self.routes {
            switch route.pattern {
            case .exact(let path):
                precondition(
                    exact[path]?.contains { $0.method == route.method } != true,
                    "two routes for \(route.method) \(path)")
                exact[path, default: []].append(route)
            case .argument: patterns.append(route)
            }
        }
        self.exact = exact
        self.patterns = patterns
    }

    /// `path` is decoded. HEAD is answered by GET's route.
    func match(method: String, path: String) -> Match {
        let method = method == "HEAD" ? "GET" : method
        let path = path.utf8.count > 2 && path.hasSuffix("/") ? String(path.dropLast()) : path
        var candidates = (self.exact[path] ?? []).map { ($0, "") }
        if candidates.isEmpty {
            candidates = self.patterns.compactMap { route in route.pattern.match(path).map { (route, $0) } }
        }
        if let (route, argument) = candidates.first(where: { $0.0.method == method }) {
            return .route(route, argument: argument)
        }
        if candidates.isEmpty { return .none }
        var allowed = Set(candidates.map(\.0.method))
        if allowed.contains("GET") { allowed.insert("HEAD") }
        return .wrongMethod(allowed: allowed.sorted())
    }
}
