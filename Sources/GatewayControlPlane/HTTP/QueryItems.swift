import GatewayCore

/// The decoded query of a request: `application/x-www-form-urlencoded`, as FastAPI reads it.
struct QueryItems: Sendable {
    private static let countMax = 256
    private var items: [(name: String, value: String)] = []

    /// - Throws: 400 when an escape is malformed, the result is not UTF-8, or there are too many items.
    init(_ query: String?) throws(ControlRefusal) {
        for pair in (query ?? "").split(separator: "&", omittingEmptySubsequences: true) {
            guard self.items.count < Self.countMax else { throw .badRequest("The query has too many parameters.") }
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0], plusIsSpace: true),
                let value = percentDecoded(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw .badRequest("The query is not percent-encoded UTF-8.") }
            self.items.append((name, value))
        }
    }

    /// The last value under `name`. `nil`: not given, or empty.
    subscript(name: String) -> String? {
        guard let value = self.items.last(where: { $0.name == name })?.value, !value.isEmpty else { return nil }
        return value
    }

    /// A whole number in `range`. `standard` when it is not given.
    func integer(_ name: String, in range: ClosedRange<Int>, standard: Int) throws(ControlRefusal) -> Int {
        guard let text = self[name] else { return standard }
        guard let value = Int(text) else {
            throw .invalid([
                FieldProblem(
                    location: ["query", name],
                    message: "Input should be a valid integer, unable to parse string as an integer",
                    type: "int_parsing")
            ])
        }
        guard value >= range.lowerBound else {
            throw .invalid([
                FieldProblem(
                    location: ["query", name], message: "Input should be greater than or equal to \(range.lowerBound)",
                    type: "greater_than_equal")
            ])
        }
        guard value <= range.upperBound else {
            throw .invalid([
                FieldProblem(
                    location: ["query", name], message: "Input should be less than or equal to \(range.upperBound)",
                    type: "less_than_equal")
            ])
        }
        return value
    }

    func flag(_ name: String, standard: Bool) throws(ControlRefusal) -> Bool {
        switch self[name]?.lowercased() {
        case nil: return standard
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default:
            throw .invalid([
                FieldProblem(
                    location: ["query", name], message: "Input should be a valid boolean, unable to interpret input",
                    type: "bool_parsing")
            ])
        }
    }
}

/// Resolves `%XX` (RFC 3986, section 2.1). `nil`: a malformed escape, or not UTF-8.
func percentDecoded(_ text: some StringProtocol, plusIsSpace: Bool) -> String? {
    var result: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = bytes.next().flatMap(hexValue), let low = bytes.next().flatMap(hexValue) else {
                return nil
            }
            result.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace: result.append(UInt8(ascii: " "))
        default: result.append(byte)
        }
    }
    return String(validating: result, as: UTF8.self)
}
