/// Reads a configuration file and those it includes into one tree.
struct ConfigurationTree {
    static let includesMax = 64

    let reader: any ConfigurationReader
    private(set) var files: [String] = []

    init(reader: any ConfigurationReader) { self.reader = reader }

    /// `nil`: the file cannot be read at all; a diagnostic says why. An empty file is an empty mapping.
    mutating func load(_ file: String, into diagnostics: inout DiagnosticCollector)
        -> ConfigurationNode?
    {
        guard var root = self.parse(file, includedAt: nil, into: &diagnostics) else { return nil }
        guard let include = root["include"] else { return root }
        let nodes = include.sequence ?? []
        guard nodes.count <= Self.includesMax else {
            diagnostics.error(
                include.position, "include", "include names more than \(Self.includesMax) files",
                mend: "put several into one")
            return root
        }
        for node in nodes {
            guard let name = node.scalar?.text, !name.isEmpty else { continue }
            let path = Self.resolve(name, besides: file)
            guard !self.files.contains(path) else {
                diagnostics.error(
                    node.position, "include", "the file is included twice", mend: "name it once")
                continue
            }
            guard let more = self.parse(path, includedAt: node.position, into: &diagnostics) else {
                continue
            }
            self.merge(more, into: &root, &diagnostics)
        }
        return root
    }

    private mutating func parse(
        _ file: String, includedAt: SourcePosition?, into diagnostics: inout DiagnosticCollector
    ) -> ConfigurationNode? {
        self.files.append(file)
        let bytes: [UInt8]
        do throws(ConfigurationReadError) {
            bytes = try self.reader.read(path: file, bytesMax: YAMLSource.bytesMax)
        } catch {
            let place = includedAt ?? SourcePosition(file: file)
            diagnostics.error(
                place, includedAt == nil ? "" : "include",
                "the \(includedAt == nil ? "configuration" : "included file") cannot be read: \(error.text)",
                mend: includedAt == nil
                    ? "check the path that --config names" : "paths are relative to this file")
            return nil
        }
        var source = YAMLSource(file: file)
        let errorsBefore = diagnostics.hasErrors
        guard let root = source.parse(bytes, into: &diagnostics), !root.isNull else {
            guard errorsBefore == diagnostics.hasErrors else { return nil }
            let place = SourcePosition(file: file, line: 1, column: 1)
            return ConfigurationNode(content: .mapping([]), position: place)
        }
        guard root.mapping != nil else {
            diagnostics.error(
                root.position, "", "the file is \(root.kindName)",
                mend: "it must be a mapping, with model_list and so on")
            return nil
        }
        return root
    }

    /// Lists are appended, mappings merged key by key; a value that both files set is an error, because which of
    /// the two is meant cannot be seen.
    private func merge(
        _ more: ConfigurationNode, into root: inout ConfigurationNode,
        _ diagnostics: inout DiagnosticCollector
    ) {
        var entries = root.mapping ?? []
        for entry in more.mapping ?? [] {
            guard entry.key != "include" else {
                diagnostics.error(
                    entry.keyPosition, "include", "an included file includes others",
                    mend: "name them in the main file")
                continue
            }
            guard let index = entries.firstIndex(where: { $0.key == entry.key }) else {
                entries.append(entry)
                continue
            }
            if let former = entries[index].value.sequence, let added = entry.value.sequence {
                entries[index].value.content = .sequence(former + added)
            } else if let former = entries[index].value.mapping, let added = entry.value.mapping {
                for inner in added where former.contains(where: { $0.key == inner.key }) {
                    diagnostics.error(
                        inner.keyPosition, KeyPathText.appending(inner.key, to: entry.key),
                        "the key is set in two files", mend: "keep one")
                }
                entries[index].value.content = .mapping(former + added)
            } else if entries[index].value.isNull {
                entries[index] = entry
            } else if !entry.value.isNull {
                diagnostics.error(
                    entry.keyPosition, KeyPathText.appending(entry.key, to: ""),
                    "the key is set in two files",
                    mend: "keep one")
            }
        }
        root.content = .mapping(entries)
    }

    private static func resolve(_ name: String, besides file: String) -> String {
        guard !name.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return name }
        return String(file[...slash]) + name
    }
}
