import GatewayAdmission
import GatewayCore

/// What a caller is to the proxy. A person can be several things at once: an internal user here, the admin of a team
/// there.
struct RoleSet: OptionSet, Hashable, Sendable {
    let rawValue: UInt8

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The master key, and keys of users with this role.
    static let proxyAdmin = RoleSet(rawValue: 1)
    /// Sees everything and changes nothing.
    static let proxyAdminViewer = RoleSet(rawValue: 2)
    /// Of at least one organization; of which, the handler asks.
    static let organizationAdmin = RoleSet(rawValue: 4)
    /// Of at least one team; of which, the handler asks.
    static let teamAdmin = RoleSet(rawValue: 8)
    static let internalUser = RoleSet(rawValue: 16)
    static let internalUserViewer = RoleSet(rawValue: 32)
    /// A key that belongs to no user.
    static let bareKey = RoleSet(rawValue: 64)

    /// LiteLLM's names of roles that users have, with what they mean.
    static let userRoles: [(name: String, role: RoleSet, label: String, description: String)] = [
        (
            "proxy_admin", .proxyAdmin, "Admin (All Permissions)",
            "Can create keys, view all spend, and manage everything"
        ),
        ("proxy_admin_viewer", .proxyAdminViewer, "Admin (View Only)", "View all keys, view all spend"),
        (
            "org_admin", .organizationAdmin, "Organization Admin",
            "Create teams, users and keys within the organizations of which it is an admin"
        ),
        (
            "internal_user", .internalUser, "Internal User (Create/Delete/View)",
            "View and create own keys, view own spend"
        ),
        ("internal_user_viewer", .internalUserViewer, "Internal Viewer (View Only)", "View own keys, view own spend"),
    ]

    /// What the key itself says, without a look at memberships.
    init(of key: KeyEntry, entities: EntityDirectory) {
        if key.isMaster {
            self = .proxyAdmin
        } else if let user = entities.entry(.user, key.record.userID) {
            self = Self.userRoles.first { $0.name == user.record.role }?.role ?? .internalUser
        } else {
            // A user that nobody made is a name on a key, and gives it no rights.
            self = .bareKey
        }
    }

    /// For refusals.
    var name: String {
        Self.userRoles.first(where: { self.contains($0.role) })?.name
            ?? (self.contains(.bareKey) ? "a key without a user" : "unknown")
    }
}

/// Who may call a route: anybody, or callers of at least one of these roles. Which of several teams, organizations or
/// users a caller may touch is the handler's question (`Authority`).
struct RouteAccess: Hashable, Sendable {
    /// `nil`: anybody, without a key.
    let roles: RoleSet?

    static let open = RouteAccess(roles: nil)
    static let anyKey = RouteAccess(roles: [
        .proxyAdmin, .proxyAdminViewer, .organizationAdmin, .teamAdmin, .internalUser, .internalUserViewer, .bareKey,
    ])
    static let admin = RouteAccess(roles: .proxyAdmin)
    static let adminView = RouteAccess(roles: [.proxyAdmin, .proxyAdminViewer])
    static let organizationAdmin = RouteAccess(roles: [.proxyAdmin, .organizationAdmin])
    static let manager = RouteAccess(roles: [.proxyAdmin, .organizationAdmin, .teamAdmin])
    /// Who may make and change what is their own.
    static let member = RouteAccess(roles: [.proxyAdmin, .organizationAdmin, .teamAdmin, .internalUser])
    /// Who may look at what is their own.
    static let reader = RouteAccess(roles: [
        .proxyAdmin, .proxyAdminViewer, .organizationAdmin, .teamAdmin, .internalUser, .internalUserViewer,
    ])
}
