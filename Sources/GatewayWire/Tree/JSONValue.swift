/// One value of a `JSONTree`: a handle that is valid until the tree reads again or its bytes go.
package struct JSONValue {
    package enum Kind: UInt8, Sendable { case null, `true`, `false`, number, string, array, object }

    let nodes: UnsafePointer<JSONTree.Node>
    let base: UnsafeRawPointer
    let index: Int32

    @inline(__always) private var node: JSONTree.Node { self.nodes[Int(self.index)] }
    @inline(__always) package var kind: Kind { self.node.kind }
    @inline(__always) package var isNull: Bool { self.kind == .null }

    /// The value as it was written, strings with their quotes.
    package var source: JSONSlice {
        let node = self.node
        let quote = node.kind == .string ? 1 : 0
        return JSONSlice(start: self.base + Int(node.start) - quote, count: Int(node.end - node.start) + 2 * quote)
    }

    /// A number as it was written. `nil`: no number.
    package var numberSource: JSONSlice? { self.kind == .number ? self.source : nil }

    /// `nil`: not a string.
    @inline(__always) package var text: JSONText? {
        let node = self.node
        guard node.kind == .string else { return nil }
        return JSONText(JSONSlice(start: self.base + Int(node.start), count: Int(node.end - node.start)))
    }

    /// `nil`: neither true nor false.
    package var bool: Bool? {
        switch self.kind {
        case .true: true
        case .false: false
        default: nil
        }
    }

    /// The integer 0...2^53 of a number token. `nil`: anything else.
    package var count: Int64? {
        let node = self.node
        guard node.kind == .number else { return nil }
        return JSONNumber.count(self.base, Int(node.start), Int(node.end))
    }

    /// The value of a number token as a double, sign included. `nil`: no number, or not finite.
    package var double: Double? {
        let node = self.node
        guard node.kind == .number else { return nil }
        let isNegative = ByteScan.byte(self.base, Int(node.start)) == UInt8(ascii: "-")
        let value = JSONNumber.double(self.base, Int(node.start) + (isNegative ? 1 : 0), Int(node.end))
        return isNegative ? value.map { -$0 } : value
    }

    /// The last member of that name that is not null, as most readers take it. `nil`: none, or no object.
    @inline(__always)
    package subscript(_ key: StaticString) -> JSONValue? {
        guard self.kind == .object else { return nil }
        var found: JSONValue?
        var members = self.members
        while let member = members.next() {
            if member.isKey(key) { found = member.value }
        }
        return found.flatMap { $0.isNull ? nil : $0 }
    }

    /// The members of an object in the order they were written; none for anything else.
    @inline(__always) package var members: Members {
        let node = self.node
        let start = node.kind == .object ? self.index &+ 1 : node.next
        return Members(nodes: self.nodes, base: self.base, position: start, end: node.next)
    }

    /// The elements of an array; none for anything else.
    @inline(__always) package var elements: Elements {
        let node = self.node
        let start = node.kind == .array ? self.index &+ 1 : node.next
        return Elements(nodes: self.nodes, base: self.base, position: start, end: node.next)
    }

    /// Whether an array or object has nothing in it.
    package var isEmptyContainer: Bool {
        (self.kind == .object || self.kind == .array) && self.node.next == self.index &+ 1
    }

    package struct Member {
        package let key: JSONText
        package let value: JSONValue
        let keyHasEscape: Bool

        @inline(__always)
        package func isKey(_ name: StaticString) -> Bool {
            self.keyHasEscape ? self.key.string.utf8.elementsEqual("\(name)".utf8) : self.key == name
        }
    }

    package struct Members: Sequence, IteratorProtocol {
        let nodes: UnsafePointer<JSONTree.Node>
        let base: UnsafeRawPointer
        var position: Int32
        let end: Int32

        @inline(__always)
        package mutating func next() -> Member? {
            guard self.position < self.end else { return nil }
            let key = self.nodes[Int(self.position)]
            let value = JSONValue(nodes: self.nodes, base: self.base, index: self.position &+ 1)
            self.position = self.nodes[Int(self.position) + 1].next
            let text = JSONText(JSONSlice(start: self.base + Int(key.start), count: Int(key.end - key.start)))
            return Member(key: text, value: value, keyHasEscape: key.hasEscape)
        }
    }

    package struct Elements: Sequence, IteratorProtocol {
        let nodes: UnsafePointer<JSONTree.Node>
        let base: UnsafeRawPointer
        var position: Int32
        let end: Int32

        @inline(__always)
        package mutating func next() -> JSONValue? {
            guard self.position < self.end else { return nil }
            let value = JSONValue(nodes: self.nodes, base: self.base, index: self.position)
            self.position = self.nodes[Int(self.position)].next
            return value
        }
    }
}
