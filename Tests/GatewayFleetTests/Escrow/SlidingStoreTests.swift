import GatewayAdmission
import GatewayCore
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

@Suite("A sliding limit in PostgreSQL", .ownThread)
struct SlidingStoreTests {
    /// The database's clock cannot be set, but its row can be made older by so many slices.
    @Test("counts as the limit in memory does, whatever pods say", arguments: [1, 2, 3] as [UInt64])
    func equalsMemory(seed: UInt64) async throws {
        let (server, database) = try await onOwnThread {
            let server = try PostgresServer.shared()
            return (server, try server.createDatabase())
        }
        let store = try PostgresStore(PostgresSettings(url: server.url(database)))
        _ = try await store.open(patience: .seconds(20), pause: { _ in await Task.yield() })
        var random = SeededGenerator(seed: seed)
        let window = LimitTerms.Window.slidingDay
        let terms = EscrowTerms(
            LimitTerms(subject: Subject(.key, "k"), unit: .tokens, window: window, value: 1000))
        let memory = LocalRates()
        let (first, _) = try await store.exchangeRates(
            [EscrowEntry(accountID: terms.id, limit: 1000)], windows: [window], share: 1)
        let present = try #require(first.first).generation
        var slice: Int64 = 1_000_000
        for step in 0..<150 {
            let past = Int64.random(in: 0...10, using: &random) < 7 ? 0 : Int64.random(in: 1...160, using: &random)
            if past > 0 {
                slice += past
                _ = try await onOwnThread {
                    try server.query("UPDATE martlet.rate SET number = number - \(past)", in: database)
                }
            }
            var entry = Self.entry(terms, slice: slice, &random)
            let now = UnixMicroseconds(rawValue: slice * window.bucketMicroseconds + 1)
            let expected = memory.exchange([entry], windows: [window], share: 4, now: now)[0]
            // The same slices, as the database numbers them.
            if entry.generation > 0 { entry.generation += present - slice }
            for index in entry.corrections.indices { entry.corrections[index].generation += present - slice }
            let (grants, _) = try await store.exchangeRates([entry], windows: [window], share: 4)
            let grant = try #require(grants.first)
            // Ten minutes are over: what is known of the database's slices no longer holds.
            guard grant.generation == present else { break }
            let late = (present - slice) * window.bucketMicroseconds
            #expect(
                grant.granted == expected.granted && grant.outstanding == expected.outstanding
                    && grant.windowEnd == expected.windowEnd + late, "seed \(seed), step \(step)")
        }
        await store.close()
    }

    private static func entry(_ terms: EscrowTerms, slice: Int64, _ random: inout SeededGenerator) -> EscrowEntry {
        var entry = EscrowEntry(accountID: terms.id, limit: 1000)
        entry.generation =
            Int64.random(in: 0..<5, using: &random) == 0 ? 0 : slice - Int64.random(in: 0...150, using: &random)
        if entry.generation > 0 { entry.give = Int64.random(in: 0...80, using: &random) }
        entry.kept = Int64.random(in: 0...60, using: &random)
        entry.most = Int64.random(in: 0...200, using: &random)
        entry.least = Int64.random(in: 0...entry.most, using: &random)
        var slices = Set<Int64>()
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let generation = slice - Int64.random(in: 0...150, using: &random)
            guard slices.insert(generation).inserted else { continue }
            entry.corrections.append(
                EscrowCorrection(generation: generation, amount: Int64.random(in: 0...40, using: &random)))
        }
        return entry
    }
}
