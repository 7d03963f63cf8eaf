import GatewayAdmission
import GatewayCore

/// Which paths a route answers; matched against the decoded path.
enum PathPattern: Sendable {
    case exact(String)
    /// `prefix`, then an argument of at least one character that may hold slashes, then `suffix`.
    case argument(prefix: String, suffix: String)

    /// `nil`: no match. The argument is empty for an exact pattern.
    func match(_ path: String) -> String? {
        switch self {
        case .exact(let text): return path == text ? "" : nil
        case .argument(let prefix, let suffix):
            guard path.hasPrefix(prefix), path.hasSuffix(suffix),
                path.utf8.count > prefix.utf8.count + suffix.utf8.count
            else { return nil }
            return String(path.dropFirst(prefix.count).dropLast(suffix.count))
        }
    }

    /// For people, as OpenAPI writes it.
    func description(argumentName: String) -> String {
        switch self {
        case .exact(let text): text
        case .argument(let prefix, let suffix): "\(prefix){\(argumentName)}\(suffix)"
        }
    }
}

/// A control request on its way to a handler: routed, decoded and allowed.
struct ControlCall: Sendable {
    var request: ControlRequest
    var query: QueryItems
    /// Who calls. `nil`: nobody in particular, on an open route.
    var caller: KeyEntry?
    /// What stood in the pattern's place.
    var argument: String

    /// What the key itself makes its caller; roles by membership are looked up where they count (`Authority`).
    var roles: RoleSet

    var isAdmin: Bool { self.roles.contains(.proxyAdmin) }
    /// Whether the caller may look at everything.
    var seesAll: Bool { !self.roles.isDisjoint(with: [.proxyAdmin, .proxyAdminViewer]) }
}

/// One line of the route table.
struct ControlRoute: Sendable {
    typealias Handler = @Sendable (ControlCall) async throws(ControlRefusal) -> ControlResponse
    var method: String
    var pattern: PathPattern
    var access: RouteAccess
    var argumentName: String
    var handler: Handler

    /// A route on one path.
    init(_ method: String, _ path: String, _ access: RouteAccess, _ handler: @escaping Handler) {
        self.method = method
        self.pattern = .exact(path)
        self.access = access
        self.argumentName = ""
        self.handler = handler
    }

    /// A route with an argument in its path.
    init(
        _ method: String, prefix: String, argumentName: String, suffix: String, _ access: RouteAccess,
        _ handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = .argument(prefix: prefix, suffix: suffix)
        self.access = access
        self.argumentName = argumentName
        self.handler = handler
    }

    var path: String { self.pattern.description(argumentName: self.argumentName) }

    /// What a key's `allowed_routes` knows the route as.
    var family: RouteRules.Family {
        if self.path.hasSuffix("/models") || self.path.hasSuffix("/models/{model}") { return .call }
        return self.isMutation ? .management : .info
    }

    /// Whether it may change something. GET and HEAD never do (RFC 9110, section 9.2.1).
    var isMutation: Bool { self.method != "GET" }
}

/// A group of routes that belong together; one file each.
protocol ControlRoom: Sendable { var routes: [ControlRoute] { get } }
