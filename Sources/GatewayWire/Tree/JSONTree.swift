/// A JSON text (RFC 8259) as a flat array of nodes over its bytes. Numbers and strings stay the bytes they came as, so
/// big integers, exponents, escapes, the order of keys and repeated keys survive. Used again for text after text, it
/// allocates nothing once it is as large as the largest.
///
/// The bytes must outlive every `JSONValue` read from them; a new `read` ends the values of the one before. Not safe to
/// share between threads.
package final class JSONTree {
    /// Nodes of one text at most: 16 bytes each. A text of two million values is no conversation.
    package static let nodesMax = 2 << 20

    struct Node {
        /// Of the value's bytes; of a string's content without quotes.
        var start: Int32
        var end: Int32
        /// Index of the node behind this one's last descendant.
        var next: Int32
        var kind: JSONValue.Kind
        /// Of a string: at least one backslash stands in it.
        var hasEscape: Bool
    }

    private(set) var nodes: UnsafeMutablePointer<Node>
    private var capacity: Int
    private var count = 0
    private var base = UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped

    package init() {
        self.capacity = 64
        self.nodes = .allocate(capacity: 64)
    }

    deinit { self.nodes.deallocate() }

    /// Reads the one value in `bytes`, white space around it allowed.
    ///
    /// - Throws: `JSONFault`: not JSON, not UTF-8, deeper than `JSONScanner.depthMax`, more than `nodesMax` values.
    package func read(_ bytes: UnsafeRawBufferPointer) throws(JSONFault) -> JSONValue {
        guard let base = bytes.baseAddress, bytes.count > 0 else { throw .truncated }
        guard bytes.count <= Int(Int32.max) else { throw .tooLarge }
        self.base = base
        self.count = 0
        var cursor = JSONCursor(base: base, count: bytes.count)
        try self.readValues(&cursor)
        while cursor.position < bytes.count {
            guard [0x20, 0x0A, 0x0D, 0x09].contains(cursor.byte(cursor.position)) else {
                throw .trailingBytes(offset: cursor.position)
            }
            cursor.position += 1
        }
        return JSONValue(nodes: UnsafePointer(self.nodes), base: base, index: 0)
    }

    package func read(_ slice: JSONSlice) throws(JSONFault) -> JSONValue { try self.read(slice.bytes) }

    /// Gives `body` the value of `slice`, which is valid for that long only: a tree that nobody holds ends its values.
    /// `nil`: not JSON.
    @discardableResult
    package static func reading<Result>(_ slice: JSONSlice, _ body: (JSONValue) -> Result) -> Result? {
        let tree = JSONTree()
        return withExtendedLifetime(tree) { (try? tree.read(slice)).map(body) }
    }

    /// Reads values until the outermost one has ended, without recursion.
    private func readValues(_ cursor: inout JSONCursor) throws(JSONFault) {
        // Indexes of the open containers, innermost last; their `next` holds the parent until they close.
        var open: Int32 = -1
        var depth = 0
        while true {
            var token = try cursor.peekToken()
            let isEmptySoFar = open >= 0 && Int(open) == self.count - 1
            let isObject = open >= 0 && self.nodes[Int(open)].kind == .object
            if !(isEmptySoFar && token == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))) {
                if isObject {
                    guard token == UInt8(ascii: "\"") else { throw .malformed(offset: cursor.position) }
                    try self.readString(&cursor)
                    try cursor.read(UInt8(ascii: ":"))
                    token = try cursor.peekToken()
                }
                if token == UInt8(ascii: "{") || token == UInt8(ascii: "[") {
                    guard depth < JSONScanner.depthMax else { throw .tooDeep(offset: cursor.position) }
                    depth += 1
                    try self.append(
                        start: cursor.position, end: 0, kind: token == UInt8(ascii: "{") ? .object : .array,
                        next: open)
                    open = Int32(self.count - 1)
                    cursor.position += 1
                    continue
                }
                try self.readScalar(token, &cursor)
            }
            guard try self.closeContainers(&cursor, &open, &depth) else { return }
        }
    }

    /// Reads what follows a value: a comma, or closing brackets and then a comma. `false`: the outermost has ended.
    private func closeContainers(
        _ cursor: inout JSONCursor, _ open: inout Int32, _ depth: inout Int
    ) throws(JSONFault) -> Bool {
        while open >= 0 {
            let token = try cursor.peekToken()
            let index = Int(open)
            if token == UInt8(ascii: ","), index < self.count - 1 {
                cursor.position += 1
                return true
            }
            let closer = self.nodes[index].kind == .object ? UInt8(ascii: "}") : UInt8(ascii: "]")
            guard token == closer else { throw .malformed(offset: cursor.position) }
            cursor.position += 1
            depth -= 1
            open = self.nodes[index].next
            self.nodes[index].end = Int32(truncatingIfNeeded: cursor.position)
            self.nodes[index].next = Int32(truncatingIfNeeded: self.count)
        }
        return false
    }

    @inline(__always)
    private func readScalar(_ token: UInt8, _ cursor: inout JSONCursor) throws(JSONFault) {
        if token == UInt8(ascii: "\"") { return try self.readString(&cursor) }
        let start = cursor.position
        try cursor.skipScalar(first: token)
        let kind: JSONValue.Kind =
            switch token {
            case UInt8(ascii: "t"): .true
            case UInt8(ascii: "f"): .false
            case UInt8(ascii: "n"): .null
            default: .number
            }
        try self.append(start: start, end: cursor.position, kind: kind, next: Int32(truncatingIfNeeded: self.count + 1))
    }

    @inline(__always)
    private func readString(_ cursor: inout JSONCursor) throws(JSONFault) {
        let overhead = cursor.escapeOverhead
        let content = try cursor.readString()
        try self.append(
            start: Int(content.start), end: Int(content.end), kind: .string,
            next: Int32(truncatingIfNeeded: self.count + 1))
        self.nodes[self.count - 1].hasEscape = cursor.escapeOverhead != overhead
    }

    @inline(__always)
    private func append(start: Int, end: Int, kind: JSONValue.Kind, next: Int32) throws(JSONFault) {
        if self.count == self.capacity { try self.grow() }
        (self.nodes + self.count).initialize(
            to: Node(
                start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: end), next: next, kind: kind,
                hasEscape: false))
        self.count += 1
    }

    private func grow() throws(JSONFault) {
        guard self.capacity < Self.nodesMax else { throw .tooLarge }
        let larger = UnsafeMutablePointer<Node>.allocate(capacity: self.capacity * 2)
        larger.moveInitialize(from: self.nodes, count: self.count)
        self.nodes.deallocate()
        self.nodes = larger
        self.capacity *= 2
    }
}
