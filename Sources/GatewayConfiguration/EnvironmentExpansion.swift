/// Puts environment variables into a tree: a value that is `os.environ/NAME` as a whole (LiteLLM's form), and
/// `${NAME}` anywhere inside a value (`$${` stands for a plain `${`). Keys are left alone.
struct EnvironmentExpansion {
    let environment: [String: String]
    /// The tree was stored over the API: a `${` in it is text, as a secret may hold one, and a variable that opens this
    /// gateway's own secrets is withheld, as the store must not be able to send it anywhere.
    var isStored = false
    private static let prefix = "os.environ/"

    func expand(
        _ node: ConfigurationNode, keyPath: String, into diagnostics: inout DiagnosticCollector
    ) -> ConfigurationNode {
        var result = node
        switch node.content {
        case .scalar(let scalar):
            result.content = .scalar(
                self.expand(scalar, position: node.position, keyPath: keyPath, into: &diagnostics))
        case .sequence(let nodes):
            result.content = .sequence(
                nodes.enumerated().map { index, node in
                    self.expand(node, keyPath: "\(keyPath)[\(index)]", into: &diagnostics)
                })
        case .mapping(let entries):
            result.content = .mapping(
                entries.map { entry in
                    var expanded = entry
                    let path = KeyPathText.appending(entry.key, to: keyPath)
                    expanded.value = self.expand(entry.value, keyPath: path, into: &diagnostics)
                    return expanded
                })
        }
        return result
    }

    private func expand(
        _ scalar: ConfigurationScalar, position: SourcePosition, keyPath: String,
        into diagnostics: inout DiagnosticCollector
    ) -> ConfigurationScalar {
        if scalar.text.hasPrefix(Self.prefix) {
            let name = String(scalar.text.dropFirst(Self.prefix.count))
            guard let value = self.value(name, position, keyPath, &diagnostics) else { return scalar }
            return ConfigurationScalar(text: value, isPlain: false, isFromEnvironment: true)
        }
        guard !self.isStored, scalar.text.contains("${") else { return scalar }
        var result = ""
        var isFromEnvironment = false
        var rest = scalar.text[...]
        while let dollar = rest.firstRange(of: "${") {
            let before = rest[..<dollar.lowerBound]
            rest = rest[dollar.upperBound...]
            if before.hasSuffix("$") {
                result += before.dropLast() + "${"
                continue
            }
            result += before
            guard let end = rest.firstIndex(of: "}") else {
                diagnostics.error(
                    position, keyPath, "`${` without `}`",
                    mend: "close it, or write $${ for the characters themselves")
                return scalar
            }
            guard let value = self.value(String(rest[..<end]), position, keyPath, &diagnostics) else {
                return scalar
            }
            result += value
            isFromEnvironment = true
            rest = rest[rest.index(after: end)...]
        }
        return ConfigurationScalar(
            text: result + rest, isPlain: false, isFromEnvironment: isFromEnvironment)
    }

    private func value(
        _ name: String, _ position: SourcePosition, _ keyPath: String,
        _ diagnostics: inout DiagnosticCollector
    ) -> String? {
        guard Self.isName(name) else {
            diagnostics.error(
                position, keyPath, "the value of \(keyPath) names no environment variable",
                mend: "write os.environ/NAME or ${NAME} with letters, digits and underscores")
            return nil
        }
        if self.isStored, Self.isWithheld(name) {
            diagnostics.error(
                position, keyPath, "\(keyPath) names the variable \(name), which stored models do not get",
                mend: "name a provider's variable")
            return nil
        }
        guard let value = self.environment[name] else {
            diagnostics.error(
                position, keyPath, "\(keyPath) needs the environment variable \(name), which is not set",
                mend: "set it, or add it under environment_variables")
            return nil
        }
        return value
    }

    private static func isWithheld(_ name: String) -> Bool {
        ["MARTLET_", "LITELLM_", "DATABASE_", "PG"].contains { name.hasPrefix($0) }
    }

    /// Letters, digits and underscores (POSIX 1003.1, section 8.1), so that a message cannot repeat anything else.
    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 200 else { return false }
        func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
        func isLetter(_ byte: UInt8) -> Bool {
            (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
        }
        return !isDigit(first)
            && name.utf8.allSatisfy { isDigit($0) || isLetter($0) || $0 == UInt8(ascii: "_") }
    }
}

/// Builds key paths such as `model_list[2].litellm_params.model` for messages.
enum KeyPathText {
    /// A key may be a secret that slipped into the wrong column; only harmless looking ones are repeated.
    static func appending(_ key: String, to path: String) -> String {
        let name = Self.isHarmless(key) ? key : "?"
        return path.isEmpty ? name : "\(path).\(name)"
    }

    static func isHarmless(_ key: String) -> Bool {
        !key.isEmpty && key.utf8.count <= 64 && !ConfigurationScalar.isLikeSecret(key)
            && key.unicodeScalars.allSatisfy { $0.isASCII && $0.value > 0x20 && $0.value != 0x7F }
    }
}
