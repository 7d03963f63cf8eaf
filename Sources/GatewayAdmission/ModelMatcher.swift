import GatewayCore

/// Which models a key may use: exact names and wildcards (`openai/*`, `*`). An empty list and LiteLLM's
/// `all-proxy-models` allow everything; `no-default-models` allows nothing by itself.
package struct ModelMatcher: Sendable {
    private let allowsAll: Bool
    private let names: Set<String>
    private let patterns: [WildcardPattern]

    package init(_ models: [String]) {
        self.allowsAll = models.isEmpty || models.contains("*") || models.contains("all-proxy-models")
        self.names = Set(models.filter { !$0.contains("*") })
        self.patterns = models.filter { $0.contains("*") }.map { WildcardPattern($0) }
    }

    package func allows(_ model: String) -> Bool {
        if self.allowsAll { return true }
        return self.names.contains(model) || self.patterns.contains { $0.matches(model) }
    }
}
