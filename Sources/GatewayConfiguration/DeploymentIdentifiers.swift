/// Gives each entry of `model_list` its stable identifier: `model_info.id`, or a hash of the entry without its secrets,
/// so that the identifier outlives a rotated key, a reordered file and the process.
struct DeploymentIdentifiers {
    private var used: [String: SourcePosition] = [:]
    private var copies: [UInt64: Int] = [:]

    func isUsed(_ identifier: String) -> Bool { self.used[identifier] != nil }

    /// Takes an identifier for something that is no entry.
    mutating func reserve(_ identifier: String, at position: SourcePosition) { self.used[identifier] = position }

    /// Gives the identifier of an entry back that was not kept.
    mutating func release(_ identifier: String) { self.used[identifier] = nil }

    /// `nil`: the identifier cannot be used; a diagnostic says why.
    mutating func identifier(
        of entry: ConfigurationNode, group: String, parameters: ConfigurationNode, keyPath: String,
        into diagnostics: inout DiagnosticCollector
    ) -> String? {
        if let node = entry["model_info"]?["id"], let given = node.scalar {
            let path = "\(keyPath).model_info.id"
            if let fault = ModelName.fault(of: given.text) {
                diagnostics.error(node.position, path, "model_info.id \(fault.problem)", mend: fault.mend)
                return nil
            }
            if let former = self.used.updateValue(node.position, forKey: given.text) {
                diagnostics.error(
                    node.position, path, "model_info.id is that of the entry at \(former.rendered), too",
                    mend: "give each entry its own, or none")
                return nil
            }
            return given.text
        }
        var hash = FNV1a()
        hash.add(group)
        Self.add(parameters, to: &hash)
        let copy = self.copies[hash.value, default: 0] + 1
        self.copies[hash.value] = copy
        let digits = String(hash.value, radix: 16)
        let base = String(repeating: "0", count: 16 - digits.utf8.count) + digits
        let identifier = copy == 1 ? base : "\(base)-\(copy)"
        self.used[identifier] = entry.position
        return identifier
    }

    private static func add(_ node: ConfigurationNode, to hash: inout FNV1a) {
        switch node.content {
        case .scalar(let scalar): hash.add("=\(scalar.text)")
        case .sequence(let nodes):
            hash.add("[\(nodes.count)")
            for node in nodes { self.add(node, to: &hash) }
        case .mapping(let entries):
            hash.add("{\(entries.count)")
            for entry in entries.sorted(by: { $0.key < $1.key }) {
                hash.add(entry.key)
                if self.isSecret(entry.key) { continue }
                self.add(entry.value, to: &hash)
            }
        }
    }

    /// Headers may hold keys too; only that there are some counts.
    private static func isSecret(_ key: String) -> Bool {
        key == "extra_headers" || key == "headers" || key == "litellm_credential_name"
            || key == "vertex_credentials" || key == "vertex_ai_credentials"
            || ConfigurationSchema.key(key, in: .modelParameters)?.kind == .secret
    }
}

/// 64-bit FNV-1a over texts with an end mark each: the same in every process and on every machine.
struct FNV1a {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ text: String) {
        self.add(bytes: text.utf8)
        self.add(bytes: CollectionOfOne(0xFF))
    }

    mutating func add(bytes: some Sequence<UInt8>) {
        for byte in bytes { self.value = (self.value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
}
