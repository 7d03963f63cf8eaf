import GatewayCore

/// Finds the group that serves a name: alias, then exact name, then the most specific wildcard, as LiteLLM does.
package struct RoutingTable: Sendable {
    package struct Resolution: Sendable, Equatable {
        /// `model_name` of the group, as configured.
        package var group: String
        /// What the group's `*` stood for in the caller's name. `nil`: the group's name has no wildcard.
        package var capture: String?
    }

    private let aliases: [String: String]
    private let names: Set<String>
    /// Most specific first.
    private let wildcards: [WildcardPattern]
    private let fallbackTargets: [String: [String]]

    package init(_ configuration: RoutingConfiguration) {
        self.aliases = Dictionary(
            configuration.aliases.map { ($0.alias, $0.group) }, uniquingKeysWith: { first, _ in first })
        let groups = Set(configuration.deployments.map(\.modelGroup))
        self.names = groups.filter { !$0.contains("*") }
        self.wildcards = groups.filter { $0.contains("*") }.map { WildcardPattern($0) }
            .sorted { ($0.literalCount, $1.text) > ($1.literalCount, $0.text) }
        self.fallbackTargets = Dictionary(
            configuration.fallbacks.map { ($0.group, $0.targets) }, uniquingKeysWith: { $0 + $1 })
    }

    /// `nil`: no group serves this name.
    package func resolve(_ name: String) -> Resolution? {
        let name = self.aliases[name] ?? name
        if self.names.contains(name) { return Resolution(group: name, capture: nil) }
        for pattern in self.wildcards where pattern.matches(name) {
            return Resolution(group: pattern.text, capture: pattern.capture(in: name) ?? name)
        }
        return nil
    }

    /// Groups to try in order when `group` has failed; the entry `*` serves groups without one of their own.
    package func fallbacks(of group: String) -> [String] {
        self.fallbackTargets[group] ?? self.fallbackTargets["*"] ?? []
    }
}
