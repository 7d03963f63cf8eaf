import GatewayCore

/// One field of LiteLLM's key requests: what it may hold and what this version does with it.
struct KeyField: Sendable {
    enum Kind: Sendable {
        /// Text of at most so many bytes.
        case text(bytesMax: Int)
        /// List of texts.
        case texts(countMax: Int, bytesMax: Int)
        /// Dollars, not negative.
        case money
        /// Whole number, not negative.
        case integer
        case number
        case flag
        /// Object whose JSON text has at most so many bytes.
        case object(bytesMax: Int)
        /// List whose JSON text has at most so many bytes.
        case list(bytesMax: Int)
        /// An object or a list whose JSON text has at most so many bytes.
        case anything(bytesMax: Int)
    }

    enum Effect: Sendable {
        /// Has its own meaning in `KeyEdits`.
        case applied
        /// Stored and shown, and nothing is expected of it.
        case kept
        /// Stored and shown, but it would restrict calls and does not yet: a warning says so.
        case notEnforced
        /// Not even stored, for the reason given in a warning.
        case ignored(String)
    }

    var name: String
    var kind: Kind
    var effect: Effect

    init(_ name: String, _ kind: Kind, _ effect: Effect) {
        self.name = name
        self.kind = kind
        self.effect = effect
    }

    /// What is wrong with `value`. `nil`: nothing; null is right for every field.
    func problem(with value: JSONValue) -> FieldProblem? {
        if value == .null { return nil }
        switch (self.kind, value) {
        case (.text(let bytesMax), .string(let text)): return self.lengthProblem(text, bytesMax: bytesMax)
        case (.text, _): return self.problem("Input should be a valid string", "string_type")
        case (.texts(let countMax, let bytesMax), .array(let values)):
            return self.listProblem(values, countMax: countMax, bytesMax: bytesMax)
        case (.list(let bytesMax), .array), (.object(let bytesMax), .object), (.anything(let bytesMax), .array),
            (.anything(let bytesMax), .object):
            return value.text.utf8.count <= bytesMax
                ? nil : self.problem("Value should have at most \(bytesMax) bytes as JSON", "too_long")
        case (.texts, _), (.list, _): return self.problem("Input should be a valid list", "list_type")
        case (.object, _), (.anything, _): return self.problem("Input should be a valid dictionary", "dict_type")
        case (.flag, .bool): return nil
        case (.flag, _): return self.problem("Input should be a valid boolean", "bool_type")
        case (.money, _): return self.moneyProblem(value)
        case (.integer, _):
            guard let number = value.integer else { return self.problem("Input should be a valid integer", "int_type") }
            return number >= 0 ? nil : self.problem("Input should be greater than or equal to 0", "greater_than_equal")
        case (.number, _):
            return value.double == nil ? self.problem("Input should be a valid number", "float_type") : nil
        }
    }

    func problem(_ message: String, _ type: String) -> FieldProblem {
        FieldProblem(location: ["body", self.name], message: message, type: type)
    }

    private func lengthProblem(_ text: String, bytesMax: Int) -> FieldProblem? {
        if text.utf8.count > bytesMax {
            return self.problem("String should have at most \(bytesMax) bytes", "string_too_long")
        }
        return text.utf8.contains(0) ? self.problem("String should not hold NUL", "value_error") : nil
    }

    private func listProblem(_ values: [JSONValue], countMax: Int, bytesMax: Int) -> FieldProblem? {
        guard values.count <= countMax else {
            return self.problem("List should have at most \(countMax) items", "too_long")
        }
        for (index, value) in values.enumerated() {
            var problem: FieldProblem?
            if case .string(let text) = value {
                problem = self.lengthProblem(text, bytesMax: bytesMax)
            } else {
                problem = self.problem("Input should be a valid string", "string_type")
            }
            problem?.location.append(String(index))
            if let problem { return problem }
        }
        return nil
    }

    private func moneyProblem(_ value: JSONValue) -> FieldProblem? {
        guard let dollars = value.double else { return self.problem("Input should be a valid number", "float_type") }
        guard dollars >= 0 else {
            return self.problem("Input should be greater than or equal to 0", "greater_than_equal")
        }
        guard let money = NanoUSD(dollars: dollars) else {
            return self.problem("Input should be less than 9200000000", "less_than")
        }
        // Rounding to zero would turn a tiny budget into "blocks every call".
        return money == .zero && dollars > 0
            ? self.problem("Input should be 0 or at least 0.000000001", "greater_than_equal") : nil
    }
}

extension JSONValue {
    var list: [JSONValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    /// A finite number; also one in a string, as LiteLLM accepts it.
    var double: Double? {
        switch self {
        case .number(let text), .string(let text):
            guard text.utf8.count <= JSONParser.numberBytesMax, case .number(let digits)? = Self.numeral(text),
                let value = Double(digits), value.isFinite
            else { return nil }
            return value
        default: return nil
        }
    }

    var integer: Int64? {
        guard let double = self.double, double.rounded() == double, abs(double) < 9e18 else { return nil }
        if case .number(let text) = self, let exact = Int64(text) { return exact }
        return Int64(double)
    }

    private static func numeral(_ text: String) -> JSONValue? {
        do throws(JSONError) { return try JSONParser.parse(Array(text.utf8)) } catch { return nil }
    }
}
