import GatewayWire

/// The members of a small JSON object, as answers about credentials are.
package enum SmallObject {
    /// Texts without their escapes, and numbers as they stand there, by name; the last one of a name holds, other values
    /// are left out. `nil`: no JSON object.
    package static func read(_ bytes: [UInt8]) -> [String: String]? {
        bytes.withUnsafeBytes { raw in
            let tree = JSONTree()
            return withExtendedLifetime(tree) {
                guard let root = try? tree.read(raw), root.kind == .object else { return nil }
                var members: [String: String] = [:]
                for member in root.members {
                    members[member.key.string] = member.value.text?.string ?? member.value.numberSource?.string
                }
                return members
            }
        }
    }
}
