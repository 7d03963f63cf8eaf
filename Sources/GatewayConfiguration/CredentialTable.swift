/// `credential_list` and stored credentials: named parameters that models refer to by `litellm_credential_name`.
struct CredentialTable {
    private var valuesByName: [String: [ConfigurationEntry]] = [:]
    /// Credentials may be stored, so that one which is not here is not for ever missing.
    let isOpenEnded: Bool

    var names: [String] { self.valuesByName.keys.sorted() }

    init(_ root: ConfigurationNode, isOpenEnded: Bool, into diagnostics: inout DiagnosticCollector) {
        self.isOpenEnded = isOpenEnded
        for (index, entry) in (root["credential_list"]?.sequence ?? []).enumerated() {
            let path = "credential_list[\(index)]"
            guard let name = entry["credential_name"]?.scalar?.text else {
                diagnostics.error(
                    entry.position, path, "the credential has no credential_name",
                    mend: "add one to refer to it by")
                continue
            }
            guard self.valuesByName[name] == nil else {
                diagnostics.error(
                    entry.position, path, "two credentials have the same credential_name", mend: "rename one")
                continue
            }
            self.valuesByName[name] = entry["credential_values"]?.mapping ?? []
        }
    }

    func has(_ name: String) -> Bool { self.valuesByName[name] != nil }

    /// Adds a stored credential; its name must be free.
    mutating func add(_ name: String, values: [ConfigurationEntry]) {
        precondition(self.valuesByName[name] == nil, "a credential's name is taken")
        self.valuesByName[name] = values
    }

    /// The name of a credential that `parameters` want and that there is not. `nil`: nothing is missing.
    func missing(in parameters: ConfigurationNode) -> (node: ConfigurationNode, name: ConfigurationScalar)? {
        guard let node = parameters["litellm_credential_name"], let name = node.scalar, !self.has(name.text) else {
            return nil
        }
        return (node, name)
    }

    /// `parameters` with the values of the credential that they name; their own win.
    func apply(
        to parameters: ConfigurationNode, keyPath: String, into diagnostics: inout DiagnosticCollector
    ) -> ConfigurationNode {
        guard let reference = parameters["litellm_credential_name"], let name = reference.scalar else {
            return parameters
        }
        guard let values = self.valuesByName[name.text] else {
            let near = NearMatch.find(name.text, among: self.names)
            diagnostics.error(
                reference.position, "\(keyPath).litellm_credential_name",
                self.isOpenEnded
                    ? "no credential is called \(name.quoted), stored or in credential_list"
                    : "no entry of credential_list is called \(name.quoted)",
                mend: near.map { "did you mean \(ConfigurationScalar.quote($0))?" }
                    ?? (self.isOpenEnded ? "store it by POST /credentials" : "add it there"))
            return parameters
        }
        var result = parameters
        let own = parameters.mapping ?? []
        result.content = .mapping(
            own + values.filter { value in !own.contains { $0.key == value.key } })
        return result
    }
}
