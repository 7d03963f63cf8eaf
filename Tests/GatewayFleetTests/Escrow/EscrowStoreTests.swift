import Foundation
import GatewayCore
import GatewayLedger
import GatewaySQLite
import TestSupport
import Testing

@Suite("An escrow store in memory", .ownThread)
struct MemoryEscrowStoreTests {
    @Test("behaves as every escrow store", arguments: EscrowStoreConformance.behaviours)
    func conforms(_ behaviour: EscrowStoreBehaviour) async throws {
        try await behaviour.check {
            let ledger = MemoryLedgerStore()
            return (MemoryEscrowStore(ledger: ledger, clock: ManualWallClock()), ledger)
        }
    }
}

@Suite("Budgets of one pod that crashes and loses answers", .ownThread)
struct EscrowModelSQLiteTests {
    @Test("add up in SQLite after every step", arguments: 1...4 as ClosedRange<UInt64>)
    func addsUp(seed: UInt64) async throws {
        var template = Array("\(NSTemporaryDirectory())/martlet-escrow-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LedgerError.unavailable("no temporary directory") }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for suffix in ["", "-wal", "-shm"] { unlink("\(directory)/ledger\(suffix)") }
            rmdir(directory)
        }
        let clock = ManualWallClock()
        let store = try SQLiteStore.open(path: "\(directory)/ledger", clock: clock)
        let options = EscrowModel.Options(
            seed: seed, steps: 400, pods: seed == 1 ? 1 : 3, resets: seed == 3, underestimates: seed == 2,
            rollsOverEvery: seed == 4 ? 2 : nil)
        try await EscrowModel(options, bench: EscrowBench(ledger: store, escrow: store, writeOff: nil, clock: clock))
            .run()
        try store.close()
    }
}
