/// Who may import whom: lower layers only, never a sibling; heavy dependencies are fenced off in one target each.
enum LayerRule {
    struct Target {
        let layer: Int
        /// Modules from outside this package, beside `everywhere`. A trailing `*` stands for any ending.
        let outside: [String]
    }

    static let targets: [String: Target] = [
        "CMartlet": Target(layer: 0, outside: []),
        "CPostgres": Target(layer: 0, outside: []),
        "CHiredis": Target(layer: 0, outside: []),
        "GatewayCore": Target(layer: 0, outside: []),
        "GatewayWire": Target(layer: 1, outside: []),
        // Signed requests of AWS.
        "GatewayProviders": Target(layer: 2, outside: ["Foundation", "Crypto", "CryptoExtras"]),
        "GatewayTranslation": Target(layer: 2, outside: []),
        "GatewayPricing": Target(layer: 2, outside: []),
        "GatewayRouting": Target(layer: 2, outside: []),
        // Time zones of budgets that begin at local midnight.
        "GatewayAdmission": Target(layer: 2, outside: ["Foundation", "Crypto"]),
        "GatewayLedger": Target(layer: 3, outside: ["Dispatch", "Logging"]),
        "GatewayPostgres": Target(layer: 4, outside: ["CPostgres"]),
        "GatewayRedis": Target(layer: 4, outside: ["CHiredis", "NIO*", "Logging"]),
        "GatewayFleet": Target(layer: 5, outside: ["Logging"]),
        "GatewaySQLite": Target(layer: 4, outside: ["GRDB*", "Foundation", "Logging"]),
        "GatewayDataPlane": Target(layer: 6, outside: ["NIO*", "Crypto", "Logging"]),
        "GatewayControlPlane": Target(layer: 6, outside: ["Foundation", "Crypto", "Logging"]),
        "GatewayConfiguration": Target(layer: 7, outside: ["Yams", "Foundation", "Crypto"]),
        // Composition: it makes the event loops and catches the signals.
        "martlet": Target(
            layer: 8, outside: ["ArgumentParser", "Foundation", "Dispatch", "Logging", "Crypto", "NIOCore", "NIOPosix"]),
    ]

    /// The standard library's and the C library's own modules.
    static let everywhere: Set<String> = ["Swift", "Glibc", "Darwin", "Synchronization"]

    /// For tests only; may use everything up to the stores.
    static let testSupport = "TestSupport"
    private static let testSupportLayerMax = 4

    static func violations(in file: SourceFile) -> [Violation] {
        guard let name = file.target, file.path.hasSuffix(".swift") else { return [] }
        if name != self.testSupport, self.targets[name] == nil {
            return [Violation(path: file.path, line: 0, message: "target \(name) is not in the layer table")]
        }
        return file.codeLines.enumerated().compactMap { index, line in
            guard let module = self.importedModule(line), module != name else { return nil }
            return self.fault(of: name, importing: module).map {
                Violation(path: file.path, line: index + 1, message: $0)
            }
        }
    }

    private static func fault(of name: String, importing module: String) -> String? {
        let layer = self.targets[name]?.layer ?? self.testSupportLayerMax + 1
        if module == self.testSupport { return "TestSupport is for tests only" }
        if let other = self.targets[module] {
            return other.layer < layer
                ? nil : "\(name) (layer \(layer)) may not import \(module) (layer \(other.layer))"
        }
        guard !self.everywhere.contains(module), name != self.testSupport, let target = self.targets[name] else {
            return nil
        }
        let isAllowed = target.outside.contains { allowed in
            allowed.hasSuffix("*") ? module.hasPrefix(allowed.dropLast()) : module == allowed
        }
        return isAllowed ? nil : "\(name) may not import \(module)"
    }

    /// The module of an import line, `Glibc` for `import func Glibc.send`. `nil`: the line is no import.
    static func importedModule(_ line: some StringProtocol) -> String? {
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard let index = words.firstIndex(of: "import") else { return nil }
        let modifiers: Set<String> = ["package", "internal", "private", "fileprivate", "public"]
        guard words[..<index].allSatisfy({ modifiers.contains(String($0)) || $0.hasPrefix("@") }) else { return nil }
        let kinds: Set<String> = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]
        let rest = words[(index + 1)...].drop { kinds.contains(String($0)) }
        return rest.first.map { String($0.prefix { $0 != "." }) }
    }
}
