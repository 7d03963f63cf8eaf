import Foundation
import GatewayCore
import GatewayLedger
import GatewaySQLite

/// A directory with a ledger file of a test's own; removed with the object.
final class TemporaryLedger: Sendable {
    let directory: String
    var path: String { self.directory + "/martlet.sqlite" }

    init() throws {
        var template = Array("\(NSTemporaryDirectory())/martlet-sqlite-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LedgerError.unavailable("no temporary directory") }
        self.directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(self.path + suffix) }
        rmdir(self.directory)
    }

    func open(_ options: SQLiteOptions = SQLiteOptions()) throws(LedgerError) -> SQLiteStore {
        try SQLiteStore.open(path: self.path, clock: StillClock(), options: options)
    }

    func openReadOnly() throws(LedgerError) -> SQLiteStore {
        try SQLiteStore.openReadOnly(path: self.path, clock: StillClock())
    }

    func bytes(_ suffix: String = "") throws -> [UInt8] {
        guard let file = fopen(self.path + suffix, "rb") else { throw LedgerError.notFound(self.path + suffix) }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    func write(_ bytes: some Collection<UInt8>, _ suffix: String = "") throws {
        guard let file = fopen(self.path + suffix, "wb") else { throw LedgerError.notFound(self.path + suffix) }
        defer { fclose(file) }
        let bytes = Array(bytes)
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw LedgerError.unavailable("short write") }
    }
}

struct StillClock: WallClock {
    func now() -> UnixMicroseconds { UnixMicroseconds(rawValue: 1_763_800_000_000_000) }
}
