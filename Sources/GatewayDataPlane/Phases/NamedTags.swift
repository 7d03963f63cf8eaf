import GatewayCore
import GatewayWire

/// Tags that a call names: in the header `x-litellm-tags`, in the body's `metadata.tags` or `tags`. Those with a budget
/// or a limit bind the call.
enum NamedTags {
    /// More are left out.
    static let countMax = 8
    private static let bytesMax = 256

    /// Separated by commas.
    static func inHeader(_ value: UnsafeRawBufferPointer) -> [String] {
        if value.isEmpty { return [] }
        return value.split(separator: UInt8(ascii: ",")).prefix(Self.countMax).compactMap { part in
            let trimmed = part.drop { $0 == 0x20 || $0 == 0x09 }
            guard let last = trimmed.lastIndex(where: { $0 != 0x20 && $0 != 0x09 }), trimmed.count <= Self.bytesMax
            else {
                return nil
            }
            return String(decoding: trimmed[...last], as: UTF8.self)
        }
    }

    /// - Parameter body: a JSON object, verified.
    static func inBody(_ body: UnsafeRawBufferPointer) -> [String] {
        let tree = JSONTree()
        guard let root = try? tree.read(body) else { return [] }
        // Its values are no more than places in it.
        defer { withExtendedLifetime(tree) {} }
        let lists = [root["metadata"]?["tags"], root["litellm_metadata"]?["tags"], root["tags"]]
        return lists.compactMap { $0 }.filter { $0.kind == .array }.flatMap { list in
            list.elements.prefix(Self.countMax).compactMap { element in
                element.text.flatMap { $0.string.utf8.count <= Self.bytesMax ? $0.string : nil }
            }
        }
    }
}

extension Call {
    /// What the call names, each once, without what its key and team are counted under already.
    func findTags() -> [String] {
        let found = (self.origin?.tags ?? []) + self.body.withUnsafeReadableBytes { NamedTags.inBody($0) }
        let own = self.path.tags
        var tags: [String] = []
        for tag in found where tags.count < NamedTags.countMax && !tags.contains(tag) && !own.contains(tag) {
            tags.append(tag)
        }
        return tags
    }
}
