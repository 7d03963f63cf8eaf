import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A PostgreSQL store's entities")
struct PostgresEntityTests {
    @Test("behave as in every entity store", arguments: EntityStoreConformance.behaviours)
    func conforms(_ behaviour: EntityStoreBehaviour) async throws {
        try await behaviour.check {
            let store = try await PostgresBench.freshStore()
            return EntityStoreBehaviour.Subject(
                store: store, changes: { try await store.changes(after: 0, limit: 1000) })
        }
    }

    @Test("show what users, teams and members have spent")
    func countsSpend() async throws {
        try await EntityStoreConformance.countsSpend(try await PostgresBench.freshStore())
    }
}
