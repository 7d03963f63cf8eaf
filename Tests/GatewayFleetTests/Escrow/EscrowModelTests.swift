import GatewayAdmission
import GatewayCore
import GatewayLedger
import GatewayPostgres
import Glibc
import TestSupport
import Testing

/// The clock that PostgreSQL on this machine has.
private struct MachineClock: WallClock {
    func now() -> UnixMicroseconds {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixMicroseconds(rawValue: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}

@Suite("Budgets shared by pods that crash, pause and lose answers", .ownThread)
struct EscrowModelTests {
    private static func memory() -> EscrowBench {
        let (ledger, clock) = (MemoryLedgerStore(), ManualWallClock())
        let store = MemoryEscrowStore(ledger: ledger, clock: clock)
        return EscrowBench(
            ledger: ledger, escrow: store,
            writeOff: { streamID in try await store.close(streamID, .writtenOff) }, clock: clock)
    }

    @Test("add up in memory after every step", arguments: 1...8 as ClosedRange<UInt64>)
    func addsUp(seed: UInt64) async throws {
        let options = EscrowModel.Options(
            seed: seed, steps: 3000, pods: seed % 4 == 0 ? 1 : 4, resets: seed % 3 == 0, writesOff: seed % 3 == 1,
            underestimates: seed % 5 == 4)
        try await EscrowModel(options, bench: Self.memory()).run()
    }

    @Test("hand on to a window what the one before did not use, and no more", arguments: 11...16 as ClosedRange<UInt64>)
    func rollsOver(seed: UInt64) async throws {
        let options = EscrowModel.Options(
            seed: seed, steps: 3000, pods: seed % 3 == 0 ? 1 : 4, resets: seed == 14, writesOff: seed == 15,
            rollsOverEvery: seed % 2 == 0 ? 10 : 20)
        try await EscrowModel(options, bench: Self.memory()).run()
    }

    @Test("add up in PostgreSQL after every step", arguments: 1...4 as ClosedRange<UInt64>)
    func addsUpInPostgres(seed: UInt64) async throws {
        let options = EscrowModel.Options(
            seed: seed, steps: 400, resets: seed == 3, writesOff: seed == 2, underestimates: seed == 4)
        try await Self.runInPostgres(options)
    }

    /// By the clock of PostgreSQL.
    @Test("hand on in PostgreSQL what a window did not use", arguments: [17, 18] as [UInt64])
    func rollsOverInPostgres(seed: UInt64) async throws {
        try await Self.runInPostgres(
            EscrowModel.Options(seed: seed, steps: 1200, resets: seed == 18, rollsOverEvery: 1))
    }

    private static func runInPostgres(_ options: EscrowModel.Options) async throws {
        let (server, database) = try await onOwnThread {
            let server = try PostgresServer.shared()
            return (server, try server.createDatabase())
        }
        let store = try PostgresStore(PostgresSettings(url: server.url(database)))
        _ = try await store.open(patience: .seconds(20), pause: { _ in await Task.yield() })
        let clock: any WallClock = options.rollsOverEvery == nil ? ManualWallClock() : MachineClock()
        let bench = EscrowBench(
            ledger: store, escrow: store,
            writeOff: { streamID in
                _ = try await onOwnThread {
                    try server.query("UPDATE martlet.stream SET state = 2 WHERE stream_id = \(streamID)", in: database)
                }
                _ = try await store.reclaimEscrow()
            }, clock: clock)
        try await EscrowModel(options, bench: bench).run()
        await store.close()
    }
}
