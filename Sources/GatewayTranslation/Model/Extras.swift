import GatewayWire

/// Members of an object that the neutral model does not hold, as they were written. They go out again where the format
/// is the same.
struct Extras {
    struct Member {
        let key: JSONText
        let value: JSONSlice
        /// The neutral model holds its meaning too: another format says it in its own words.
        let isUnderstood: Bool
        let isNull: Bool
    }

    var format: WireFormat
    var members: [Member] = []

    init(_ format: WireFormat) { self.format = format }

    /// Whether a member, null or not, has this name.
    func contains(_ key: StaticString) -> Bool { self.members.contains { $0.key == key } }
}

/// Reads an object and remembers what was read, so that the rest can be kept.
struct ObjectReader {
    let object: JSONValue
    private var taken: UInt128 = 0
    private var understood: UInt128 = 0

    init(_ object: JSONValue) { self.object = object }

    /// The last member of that name that is not null; it is not kept among the extras.
    @inline(__always)
    mutating func take(_ key: StaticString) -> JSONValue? {
        guard let (value, bit) = self.find(key) else { return nil }
        self.taken |= bit
        return value
    }

    /// The same, if it is a string.
    mutating func takeText(_ key: StaticString) -> JSONText? {
        guard let (value, bit) = self.find(key), let text = value.text else { return nil }
        self.taken |= bit
        return text
    }

    /// The last member of that name that is not null. It stays among the extras, marked as understood.
    mutating func peek(_ key: StaticString) -> JSONValue? {
        guard let (value, bit) = self.find(key) else { return nil }
        self.understood |= bit
        return value
    }

    mutating func peekText(_ key: StaticString) -> JSONText? { self.peek(key)?.text }

    /// By either name: Gemini takes camel case and snake case.
    mutating func take(_ key: StaticString, or other: StaticString) -> JSONValue? { self.take(key) ?? self.take(other) }
    mutating func peek(_ key: StaticString, or other: StaticString) -> JSONValue? { self.peek(key) ?? self.peek(other) }

    @inline(__always)
    private func find(_ key: StaticString) -> (JSONValue, UInt128)? {
        var found: (JSONValue, UInt128)?
        var bit: UInt128 = 1
        for member in self.object.members {
            if member.isKey(key), !member.value.isNull { found = (member.value, bit) }
            bit = bit &<< 1
        }
        return found
    }

    /// What was not taken.
    func rest(_ format: WireFormat) -> Extras {
        var extras = Extras(format)
        var bit: UInt128 = 1
        for member in self.object.members {
            if self.taken & bit == 0 {
                extras.members.append(
                    Extras.Member(
                        key: member.key, value: member.value.source, isUnderstood: self.understood & bit != 0,
                        isNull: member.value.isNull))
            }
            // Behind member 128 the shift loses the bit: those are kept.
            bit = bit << 1
        }
        return extras
    }
}
