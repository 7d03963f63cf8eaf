import GatewayAdmission
import GatewayCore

/// Which of the listed models a key sees. Pure.
struct ModelVisibility: Sendable {
    private struct Pattern: Sendable {
        var wildcard: WildcardPattern
        var model: ListedModel
    }

    private let models: [ListedModel]
    private let patterns: [Pattern]
    private let path: AdmissionPath
    /// Names that the key's own list spells out.
    private let ownNames: [String]

    /// - Parameter path: what the key and its owners allow.
    init(models: [ListedModel], key: KeyEntry, path: AdmissionPath) {
        self.models = models
        self.patterns = models.filter { $0.name.contains("*") }.map {
            Pattern(wildcard: WildcardPattern($0.name), model: $0)
        }
        self.path = path
        self.ownNames = key.record.models.filter { !$0.contains("*") }
    }

    /// Names to list: the configured ones, and those of the key's list that only a configured wildcard covers.
    /// - Parameter includesWildcards: whether configured names with `*` are listed too.
    func listed(includesWildcards: Bool) -> [ListedModel] {
        var names: Set<String> = []
        var result: [ListedModel] = []
        for model in self.models {
            guard includesWildcards || !model.name.contains("*"), self.path.allows(model.name),
                names.insert(model.name).inserted
            else { continue }
            result.append(model)
        }
        for name in self.ownNames where !names.contains(name) && self.path.allows(name) {
            guard var model = self.covering(name) else { continue }
            model.name = name
            names.insert(name)
            result.append(model)
        }
        return result
    }

    /// The model that a call by this name would reach. `nil`: none, or the key may not use it.
    func find(_ name: String) -> ListedModel? {
        guard self.path.allows(name) else { return nil }
        if let model = self.models.first(where: { $0.name == name }) { return model }
        guard var model = self.covering(name) else { return nil }
        model.name = name
        return model
    }

    /// The most specific wildcard that covers `name`.
    private func covering(_ name: String) -> ListedModel? {
        guard !name.contains("*") else { return nil }
        return self.patterns.filter { $0.wildcard.matches(name) }.max {
            $0.wildcard.literalCount < $1.wildcard.literalCount
        }?.model
    }
}
