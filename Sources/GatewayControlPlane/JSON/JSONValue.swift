import GatewayCore

/// A JSON value (RFC 8259) of the management API. Objects keep their order and numbers their text, so that what a
/// caller stores comes back as given and money is never rounded by a float on its way.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The number as written.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    static func integer(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

    /// Exact decimal dollars.
    static func money(_ value: NanoUSD) -> JSONValue { .number(value.decimalText) }

    static func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }

    static func strings(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }

    /// The value under `name` of an object. `nil`: no object, or no such name.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// Whether the value says nothing: null, false, zero, or empty.
    var isVoid: Bool {
        switch self {
        case .null: true
        case .bool(let value): !value
        case .number(let text): Double(text) == 0
        case .string(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        }
    }

    /// `text` read strictly (`JSONParser`). `nil`: it is no JSON.
    package static func parsed(_ text: String) -> JSONValue? {
        do throws(JSONError) { return try JSONParser.parse(Array(text.utf8)) } catch { return nil }
    }

    /// Compact JSON text.
    package var text: String {
        var text = ""
        self.write(to: &text)
        return text
    }

    func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let digits): text += digits
        case .string(let value): text += jsonQuoted(value)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { text += "," }
                text += jsonQuoted(member.name)
                text += ":"
                member.value.write(to: &text)
            }
            text += "}"
        }
    }
}

/// A name with its value in a JSON object.
package struct JSONMember: Sendable, Equatable {
    package var name: String
    package var value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}
