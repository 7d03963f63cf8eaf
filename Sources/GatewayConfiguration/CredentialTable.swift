/// `credential_list`: named parameters that entries of `model_list` refer to by `litellm_credential_name`.
struct CredentialTable {
    private var valuesByName: [String: [ConfigurationEntry]] = [:]

    var names: [String] { self.valuesByName.keys.sorted() }

    init(_ root: ConfigurationNode, into diagnostics: inout DiagnosticCollector) {
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
                "no entry of credential_list is called \(name.quoted)",
                mend: near.map { "did you mean \(ConfigurationScalar.quote($0))?" } ?? "add it there")
            return parameters
        }
        var result = parameters
        let own = parameters.mapping ?? []
        result.content = .mapping(
            own + values.filter { value in !own.contains { $0.key == value.key } })
        return result
    }
}
