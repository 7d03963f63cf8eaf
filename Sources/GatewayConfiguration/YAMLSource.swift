import Yams

/// Reads one YAML file into `ConfigurationNode`s, within bounds that keep hostile files harmless: size, nesting, and
/// the number of values after aliases are expanded.
struct YAMLSource {
    /// 4 MiB: thousands of deployments.
    static let bytesMax = 4 << 20
    static let depthMax = 40
    /// Values after expansion of aliases; an alias bomb meets it.
    static let nodesMax = 200_000

    let file: String
    private var nodesLeft = Self.nodesMax

    init(file: String) { self.file = file }

    /// - Returns: the root. `nil`: the file is empty, or a diagnostic says why there is none.
    mutating func parse(_ bytes: [UInt8], into diagnostics: inout DiagnosticCollector)
        -> ConfigurationNode?
    {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            diagnostics.error(self.place(1, 1), "", "the file is not UTF-8", mend: "save it as UTF-8")
            return nil
        }
        guard self.checkAliases(text, into: &diagnostics) else { return nil }
        do {
            // The basic resolver: types are decided by `ConfigurationScalar`, and it needs no regular expressions.
            guard let root = try Yams.compose(yaml: text, .basic, .default, .utf8) else { return nil }
            return try self.convert(root, depth: 0)
        } catch let error as YamlError {
            self.report(error, text: text, into: &diagnostics)
        } catch let error as Excess {
            diagnostics.error(error.position, "", error.message, mend: error.mend)
        } catch {
            diagnostics.error(self.place(1, 1), "", "the file cannot be read as YAML", mend: nil)
        }
        return nil
    }

    private func place(_ line: Int, _ column: Int) -> SourcePosition {
        SourcePosition(file: self.file, line: line, column: column)
    }

    /// The YAML library hashes keys to find duplicates; an alias inside a key could make that take for ever.
    private func checkAliases(_ text: String, into diagnostics: inout DiagnosticCollector) -> Bool {
        guard let line = AliasPolicy.offendingLine(in: text) else { return true }
        diagnostics.error(
            self.place(line, 1), "", "an alias or a `?` key is used in a way that is not supported",
            mend: "write `key: *name`, `- *name`, `<<: *name` or `key: [*one, *two]`, each at the end of its line")
        return false
    }

    private struct Excess: Error {
        var position: SourcePosition
        var message: String
        var mend: String
    }

    private mutating func convert(_ node: Node, depth: Int) throws -> ConfigurationNode {
        let position = self.place(node.mark?.line ?? 1, node.mark?.column ?? 1)
        self.nodesLeft -= 1
        guard self.nodesLeft >= 0 else {
            throw Excess(
                position: position,
                message: "the file holds more than \(Self.nodesMax) values, aliases expanded",
                mend: "split it, or use fewer aliases")
        }
        guard depth < Self.depthMax else {
            throw Excess(
                position: position, message: "values are nested deeper than \(Self.depthMax) levels",
                mend: "no setting needs this; check the indentation")
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            return ConfigurationNode(
                content: .scalar(ConfigurationScalar(text: scalar.string, isPlain: isPlain)),
                position: position)
        case .sequence(let sequence):
            let nodes = try sequence.map { try self.convert($0, depth: depth + 1) }
            return ConfigurationNode(content: .sequence(nodes), position: position)
        case .mapping(let mapping):
            return ConfigurationNode(
                content: .mapping(try self.entries(of: mapping, depth: depth)), position: position)
        case .alias:
            throw Excess(
                position: position, message: "an alias is not resolved", mend: "write the value out")
        }
    }

    /// Entries with merge keys (`<<`) applied: own keys win over merged ones, earlier merged ones over later.
    private mutating func entries(of mapping: Node.Mapping, depth: Int) throws -> [ConfigurationEntry] {
        var entries: [ConfigurationEntry] = []
        var merged: [ConfigurationEntry] = []
        for (keyNode, valueNode) in mapping {
            let place = self.place(keyNode.mark?.line ?? 1, keyNode.mark?.column ?? 1)
            guard case .scalar(let key) = keyNode else {
                throw Excess(
                    position: place, message: "a key is a list or a mapping",
                    mend: "write the key as plain text")
            }
            let value = try self.convert(valueNode, depth: depth + 1)
            guard key.string == "<<", key.style == .plain else {
                entries.append(ConfigurationEntry(key: key.string, keyPosition: place, value: value))
                continue
            }
            let sources = value.sequence ?? [value]
            for source in sources {
                guard let more = source.mapping else {
                    throw Excess(
                        position: place, message: "`<<` merges \(source.kindName)",
                        mend: "merge a mapping or a list of mappings")
                }
                merged += more
            }
        }
        var known = Set(entries.map(\.key))
        for entry in merged where known.insert(entry.key).inserted { entries.append(entry) }
        return entries
    }

    private func report(_ error: YamlError, text: String, into diagnostics: inout DiagnosticCollector) {
        func add(_ line: Int, _ column: Int, _ problem: String, mend: String? = nil) {
            diagnostics.error(
                self.place(max(line, 1), max(column, 1)), "", "YAML: \(problem)", mend: mend)
        }
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _):
            let mend =
                problem.contains("cannot start any token") ? "quote the value, or indent by spaces" : nil
            add(mark.line, mark.column, context.map { "\(problem), \($0.text)" } ?? problem, mend: mend)
        case .composer(_, let problem, let mark, _):
            add(mark.line, mark.column, problem)
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.sorted().map { ConfigurationScalar.quote($0) }.joined(separator: ", ")
            add(
                context.mark.line, context.mark.column, "the mapping holds \(names) more than once",
                mend: "keep one")
        case .reader(let problem, let offset, _, _):
            let before = text.prefix(offset ?? 0)
            let line = before.reduce(into: 1) { count, character in if character.isNewline { count += 1 }
            }
            add(line, 1, problem, mend: "remove the control character")
        default:
            add(1, 1, "the file cannot be read")
        }
    }
}
