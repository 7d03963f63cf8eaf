import GatewayAdmission
import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("Budgets shared by pods that crash, pause and lose answers")
struct EscrowModelTests {
    private static func memory() -> EscrowBench {
        let ledger = MemoryLedgerStore()
        let store = MemoryEscrowStore(ledger: ledger, clock: ManualWallClock())
        return EscrowBench(
            ledger: ledger, escrow: store,
            writeOff: { streamID in try await store.close(streamID, .writtenOff) })
    }

    @Test("add up in memory after every step", arguments: 1...8 as ClosedRange<UInt64>)
    func addsUp(seed: UInt64) async throws {
        let options = EscrowModel.Options(
            seed: seed, steps: 3000, pods: seed % 4 == 0 ? 1 : 4, resets: seed % 3 == 0, writesOff: seed % 3 == 1,
            underestimates: seed % 5 == 4)
        try await EscrowModel(options, bench: Self.memory()).run()
    }

    @Test("add up in PostgreSQL after every step", arguments: 1...4 as ClosedRange<UInt64>)
    func addsUpInPostgres(seed: UInt64) async throws {
        let (server, database) = try await onOwnThread {
            let server = try PostgresServer.shared()
            return (server, try server.createDatabase())
        }
        let store = try PostgresStore(PostgresSettings(url: server.url(database)))
        _ = try await store.open(patience: .seconds(20), pause: { _ in await Task.yield() })
        let bench = EscrowBench(
            ledger: store, escrow: store,
            writeOff: { streamID in
                _ = try await onOwnThread {
                    try server.query("UPDATE martlet.stream SET state = 2 WHERE stream_id = \(streamID)", in: database)
                }
                _ = try await store.reclaimEscrow()
            })
        let options = EscrowModel.Options(
            seed: seed, steps: 400, resets: seed == 3, writesOff: seed == 2, underestimates: seed == 4)
        try await EscrowModel(options, bench: bench).run()
        await store.close()
    }
}
