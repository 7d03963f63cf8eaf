import GatewayCore

/// A type by PostgreSQL's object identifier (pg_type.dat).
enum PostgresType {
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let int8: UInt32 = 20
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let uuid: UInt32 = 2950
    static let byteaArray: UInt32 = 1001
    static let int4Array: UInt32 = 1007
    static let textArray: UInt32 = 1009
    static let int8Array: UInt32 = 1016
    static let uuidArray: UInt32 = 2951
}

/// Values for the places `$1`, `$2`, ... of a statement, in binary form and in one buffer.
struct PostgresParameters: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var types: [UInt32] = []
    /// Where each value starts. -1: NULL.
    private(set) var starts: [Int] = []
    private(set) var lengths: [Int32] = []

    static let none = PostgresParameters()

    init() {}

    /// - Parameter capacity: bytes that the values will need, to spare the growing.
    init(capacity: Int) { self.bytes.reserveCapacity(capacity) }

    private mutating func add(_ type: UInt32, _ body: (inout [UInt8]) -> Void) {
        let start = self.bytes.count
        body(&self.bytes)
        self.types.append(type)
        self.starts.append(start)
        self.lengths.append(Int32(self.bytes.count - start))
    }

    mutating func null(_ type: UInt32) {
        self.types.append(type)
        self.starts.append(-1)
        self.lengths.append(0)
    }

    mutating func int8(_ value: Int64?) {
        guard let value else { return self.null(PostgresType.int8) }
        self.add(PostgresType.int8) { $0.appendBigEndian(value) }
    }

    mutating func int4(_ value: Int32) {
        self.add(PostgresType.int4) { $0.appendBigEndian(value) }
    }

    mutating func bool(_ value: Bool) {
        self.add(PostgresType.bool) { $0.append(value ? 1 : 0) }
    }

    mutating func text(_ value: String?) {
        guard let value else { return self.null(PostgresType.text) }
        self.add(PostgresType.text) { PostgresText.append(value, to: &$0) }
    }

    mutating func bytes(_ value: [UInt8]?) {
        guard let value else { return self.null(PostgresType.bytea) }
        self.add(PostgresType.bytea) { $0.append(contentsOf: value) }
    }

    mutating func uuid(_ value: UUIDBits) {
        self.add(PostgresType.uuid) { bytes in
            bytes.appendBigEndian(value.high)
            bytes.appendBigEndian(value.low)
        }
    }

    /// An array of one dimension (src/backend/utils/adt/arrayfuncs.c, array_send). No elements: the empty array. Values
    /// are read where they stand: an iterator would copy each, which for an event means counting its objects.
    /// - Parameter element: appends one element with its length before it.
    @inline(__always)
    private mutating func array<Value>(
        _ type: UInt32, of elementType: UInt32, _ values: [Value], hasNulls: Bool,
        _ element: (inout [UInt8], Value) -> Void
    ) {
        self.add(type) { bytes in
            bytes.appendBigEndian(Int32(values.isEmpty ? 0 : 1))
            bytes.appendBigEndian(Int32(hasNulls ? 1 : 0))
            bytes.appendBigEndian(elementType)
            if values.isEmpty { return }
            bytes.appendBigEndian(Int32(values.count))
            bytes.appendBigEndian(Int32(1))
            values.withUnsafeBufferPointer { values in
                for index in values.indices { element(&bytes, values[index]) }
            }
        }
    }

    @inline(__always)
    mutating func int8Array<Value>(_ values: [Value], _ value: (Value) -> Int64) {
        self.array(PostgresType.int8Array, of: PostgresType.int8, values, hasNulls: false) { bytes, element in
            bytes.appendElement(value(element))
        }
    }

    @inline(__always)
    mutating func int4Array<Value>(_ values: [Value], _ value: (Value) -> Int32) {
        self.array(PostgresType.int4Array, of: PostgresType.int4, values, hasNulls: false) { bytes, element in
            bytes.appendElement(value(element))
        }
    }

    @inline(__always)
    mutating func uuidArray<Value>(_ values: [Value], _ value: (Value) -> UUIDBits) {
        self.array(PostgresType.uuidArray, of: PostgresType.uuid, values, hasNulls: false) { bytes, element in
            let bits = value(element)
            bytes.appendBigEndian(Int32(16))
            bytes.appendBigEndian(bits.high)
            bytes.appendBigEndian(bits.low)
        }
    }

    @inline(__always)
    mutating func textArray<Value>(_ values: [Value], _ value: (Value) -> String?) {
        self.array(PostgresType.textArray, of: PostgresType.text, values, hasNulls: true) { bytes, element in
            guard let text = value(element) else { return bytes.appendBigEndian(Int32(-1)) }
            bytes.appendWithLength { PostgresText.append(text, to: &$0) }
        }
    }

    mutating func bytesArray<Value>(_ values: [Value], _ value: (Value) -> [UInt8]) {
        self.array(PostgresType.byteaArray, of: PostgresType.bytea, values, hasNulls: false) { bytes, element in
            bytes.appendWithLength { $0.append(contentsOf: value(element)) }
        }
    }
}

extension [UInt8] {
    @inline(__always)
    mutating func appendBigEndian<Value: FixedWidthInteger>(_ value: Value) {
        Swift.withUnsafeBytes(of: value.bigEndian) { self.append(contentsOf: $0) }
    }

    /// Length and value in one step.
    @inline(__always)
    fileprivate mutating func appendElement(_ value: Int64) {
        let words = (
            Int32(8).bigEndian, Int32(truncatingIfNeeded: value >> 32).bigEndian,
            Int32(truncatingIfNeeded: value).bigEndian
        )
        Swift.withUnsafeBytes(of: words) { self.append(contentsOf: $0) }
    }

    @inline(__always)
    fileprivate mutating func appendElement(_ value: Int32) {
        let words = (Int32(4).bigEndian, value.bigEndian)
        Swift.withUnsafeBytes(of: words) { self.append(contentsOf: $0) }
    }

    /// Appends what `body` appends, with its length before it.
    fileprivate mutating func appendWithLength(_ body: (inout [UInt8]) -> Void) {
        let place = self.count
        self.appendBigEndian(Int32(0))
        body(&self)
        let length = Int32(self.count - place - 4).bigEndian
        Swift.withUnsafeBytes(of: length) { bytes in
            for index in 0..<4 { self[place + index] = bytes[index] }
        }
    }
}
