import CPostgres
import GatewayCore

/// The answer to a statement, in binary form. Reading a column as another type than it has gives 0 or nothing: our own
/// statements fix the types, and `isNull` tells NULL.
///
/// `@unchecked Sendable`: the pointer is the only state and never changes, and a PGresult is read-only after its creation,
/// so that libpq allows reading it from any thread (libpq, "Behavior in Threaded Programs").
final class PostgresRows: @unchecked Sendable {
    private let result: OpaquePointer

    init(_ result: OpaquePointer) { self.result = result }

    deinit { PQclear(self.result) }

    var count: Int { Int(PQntuples(self.result)) }
    var isEmpty: Bool { self.count == 0 }

    func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(self.result, Int32(row), Int32(column)) == 1 }

    private func value(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer {
        let length = PQgetlength(self.result, Int32(row), Int32(column))
        return UnsafeRawBufferPointer(
            start: PQgetvalue(self.result, Int32(row), Int32(column)), count: Int(length))
    }

    /// Of `smallint`, `integer` or `bigint`; 0 for NULL.
    func integer(_ row: Int, _ column: Int) -> Int64 {
        let bytes = self.value(row, column)
        guard let first = bytes.first else { return 0 }
        return bytes.dropFirst().reduce(Int64(Int8(bitPattern: first))) { $0 << 8 | Int64($1) }
    }

    func optionalInteger(_ row: Int, _ column: Int) -> Int64? {
        self.isNull(row, column) ? nil : self.integer(row, column)
    }

    func bool(_ row: Int, _ column: Int) -> Bool { self.value(row, column).first == 1 }

    func text(_ row: Int, _ column: Int) -> String { PostgresText.decode(self.value(row, column)) }

    func optionalText(_ row: Int, _ column: Int) -> String? {
        self.isNull(row, column) ? nil : self.text(row, column)
    }

    func bytes(_ row: Int, _ column: Int) -> [UInt8] { Array(self.value(row, column)) }

    /// All zero for NULL.
    func uuid(_ row: Int, _ column: Int) -> UUIDBits {
        let bytes = self.value(row, column)
        guard bytes.count == 16 else { return UUIDBits(high: 0, low: 0) }
        return UUIDBits(
            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    /// Of `text[]` without NULLs; empty for NULL.
    func texts(_ row: Int, _ column: Int) -> [String] {
        let bytes = self.value(row, column)
        func word(_ offset: Int) -> Int {
            offset + 4 <= bytes.count
                ? Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))) : 0
        }
        guard word(0) == 1 else { return [] }
        var texts: [String] = []
        var offset = 20
        for _ in 0..<word(12) {
            let length = max(0, word(offset))
            guard offset + 4 + length <= bytes.count else { break }
            texts.append(PostgresText.decode(UnsafeRawBufferPointer(rebasing: bytes[(offset + 4)...].prefix(length))))
            offset += 4 + length
        }
        return texts
    }
}
