import GatewayWire

/// A tool call whose arguments are gathered, for formats that send calls whole.
struct HeldToolCall: Sendable {
    private var id: [UInt8]?
    private var name: [UInt8] = []
    private var signature: [UInt8]?
    private var arguments: [UInt8] = []

    init() {}

    mutating func begin(_ id: JSONText?, _ name: JSONText, _ signature: JSONText?) {
        self.id = id.map { Array($0.slice.bytes) }
        self.name = Array(name.slice.bytes)
        self.signature = signature.map { Array($0.slice.bytes) }
        self.arguments.removeAll(keepingCapacity: true)
    }

    /// - Parameter max: bound of the arguments in bytes.
    mutating func add(_ piece: JSONText, max: Int) throws(TranslationError) {
        guard self.arguments.count + piece.slice.count <= max else {
            throw TranslationError(.tooLarge, "The provider sent a tool call of more than \(max) bytes.")
        }
        self.arguments.append(contentsOf: piece.slice.bytes)
    }

    /// The call; its texts live in `arena`.
    func end(_ arena: JSONArena) -> (id: JSONText?, name: JSONText, signature: JSONText?, arguments: JSONText) {
        (
            self.id.map { JSONText(arena.copy($0)) }, JSONText(arena.copy(self.name)),
            self.signature.map { JSONText(arena.copy($0)) }, JSONText(arena.copy(self.arguments))
        )
    }
}
