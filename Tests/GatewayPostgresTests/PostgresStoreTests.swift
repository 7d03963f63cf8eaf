import GatewayAdmission
import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A PostgreSQL store")
struct PostgresStoreTests {
    @Test(
        "behaves as every ledger store",
        arguments: LedgerStoreConformance.behaviours + LedgerStoreConformance.hardBehaviours)
    func conformsToLedgerStore(_ behaviour: LedgerStoreBehaviour) async throws {
        try await behaviour.check { try await PostgresBench.freshStore() }
    }

    @Test("behaves the same without prepared statements", arguments: LedgerStoreConformance.behaviours)
    func conformsUnprepared(_ behaviour: LedgerStoreBehaviour) async throws {
        try await behaviour.check { try await PostgresBench.freshStore(parameters: "statement_cache=off") }
    }

    @Test("behaves as every key store", arguments: KeyStoreConformance.behaviours)
    func conformsToKeyStore(_ behaviour: KeyStoreBehaviour) async throws {
        try await behaviour.check { try await PostgresBench.freshStore() }
    }

    @Test("behaves as every fleet store", arguments: FleetStoreConformance.behaviours)
    func conformsToFleetStore(_ behaviour: FleetStoreBehaviour) async throws {
        try await behaviour.check { try await PostgresBench.fleetSubject() }
    }

    @Test("behaves as every escrow store", arguments: EscrowStoreConformance.behaviours)
    func conformsToEscrowStore(_ behaviour: EscrowStoreBehaviour) async throws {
        try await behaviour.check {
            let store = try await PostgresBench.freshStore()
            return (store, store)
        }
    }

    @Test("forgets rates that nobody uses, and counts them anew")
    func forgetsRates() async throws {
        let database = try await PostgresBench.database()
        let store = try await PostgresBench.store(database)
        let terms = EscrowTerms(
            LimitTerms(subject: Subject(.key, "k"), unit: .requests, window: .day, value: 10))
        var entry = EscrowEntry(accountID: terms.id, limit: 10)
        (entry.least, entry.most) = (4, 4)
        func left() async throws -> Int64 {
            // The first answer tells the window's number.
            let number = try await store.exchangeRates([entry], windows: [.day], share: 1).grants[0].generation
            var next = entry
            next.generation = number
            let grants = try await store.exchangeRates([next], windows: [.day], share: 1).grants
            return 10 - grants[0].outstanding
        }
        #expect(try await left() <= 6)
        #expect(try await store.forgetEscrow(EscrowRetention()) == [])
        // As a program leaves it that does not know the column, and as time does.
        for (value, forgotten) in [("NULL", 0), ("1", 1)] {
            try await PostgresBench.query("UPDATE martlet.rate SET expires_at = \(value)", in: database)
            #expect(
                try await store.forgetEscrow(EscrowRetention())
                    == (forgotten > 0 ? ["Forgot 1 rates that were not used any more."] : []))
        }
        #expect(try await left() == 6)
    }

    @Test("behaves as every response store", arguments: ResponseStoreConformance.behaviours)
    func conformsToResponseStore(_ behaviour: ResponseStoreBehaviour) async throws {
        try await behaviour.check { try await PostgresBench.freshStore() }
    }

    @Test("behaves as every model store", arguments: ModelStoreConformance.behaviours)
    func conformsToModelStore(_ behaviour: ModelStoreBehaviour) async throws {
        try await behaviour.check {
            let store = try await PostgresBench.freshStore()
            return ModelStoreBehaviour.Subject(
                store: store, changes: { try await store.changes(after: 0, limit: 1000) })
        }
    }
}

@Suite("A fleet store in memory")
struct MemoryFleetStoreTests {
    @Test("behaves as every fleet store", arguments: FleetStoreConformance.behaviours)
    func conformsToFleetStore(_ behaviour: FleetStoreBehaviour) async throws {
        try await behaviour.check {
            let clock = ManualWallClock()
            let log = MemoryChangeLog(clock: clock)
            let store = MemoryFleetStore(clock: clock, log: log)
            return FleetStoreBehaviour.Subject(
                fleet: store, ledger: store, change: { log.append(.key, "key") }, advance: { clock.advance(by: $0) })
        }
    }

    @Test("behaves as every ledger store", arguments: LedgerStoreConformance.behaviours)
    func conformsToLedgerStore(_ behaviour: LedgerStoreBehaviour) async throws {
        try await behaviour.check { MemoryFleetStore() }
    }

    @Test("has a twin for models that behaves as every model store", arguments: ModelStoreConformance.behaviours)
    func conformsToModelStore(_ behaviour: ModelStoreBehaviour) async throws {
        try await behaviour.check {
            let log = MemoryChangeLog()
            return ModelStoreBehaviour.Subject(
                store: MemoryModelStore(log: log), changes: { log.changes(after: 0, limit: 1000) })
        }
    }
}
