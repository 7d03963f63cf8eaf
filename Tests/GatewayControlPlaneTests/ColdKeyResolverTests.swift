import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import Synchronization
import TestSupport
import Testing

/// A second pod on the fixture's store, which hears nothing of the change log.
private struct OtherPod {
    let directory = KeyDirectory()
    let registry: KeyRegistry
    let resolver: ColdKeyResolver
    let now = Shared(Duration.zero)
    let isStoreAway = Shared(false)

    init(_ fixture: ControlFixture, configuration: ColdKeyConfiguration = ColdKeyConfiguration()) {
        let (now, isStoreAway) = (self.now, self.isStoreAway)
        self.registry = KeyRegistry(
            directory: self.directory, keyStore: fixture.keyStore, ledger: fixture.ledger, reader: .utc)
        self.resolver = ColdKeyResolver(
            registry: self.registry, configuration: configuration, now: { now.value },
            isStoreAway: { isStoreAway.value })
    }

    func resolve(_ secret: String) async -> KeyResolution {
        await withCheckedContinuation { continuation in
            self.resolver.resolve(KeySecret.digest(of: secret)) { continuation.resume(returning: $0) }
        }
    }
}

extension KeyResolution {
    fileprivate var entry: KeyEntry? { if case .found(let entry) = self { entry } else { nil } }
    fileprivate var isUnknown: Bool { if case .unknown = self { true } else { false } }
    fileprivate var isStoreAway: Bool { if case .storeAway = self { true } else { false } }
}

@Suite("A resolver of cold keys")
struct ColdKeyResolverTests {
    private let fixture = ControlFixture()

    /// Runs the resolver's look-ups while `body` runs.
    private func serving(_ pod: OtherPod, _ body: () async throws -> Void) async rethrows {
        let task = Task { await pod.resolver.run() }
        try await body()
        task.cancel()
        await task.value
    }

    @Test("finds a key of another pod with what it has spent, by one read of the key")
    func finds() async throws {
        let pod = OtherPod(self.fixture)
        let secret = try await self.fixture.makeKey(#"{"max_budget":2}"#)
        try self.fixture.spend(700, by: secret, number: 1)
        let calls = self.fixture.keyStore.calls
        await self.serving(pod) {
            let entry = await pod.resolve(secret).entry
            #expect(entry?.record.maxBudget == NanoUSD(rawValue: 2_000_000_000))
            #expect(entry?.spend.spend == NanoUSD(rawValue: 700))
            #expect(pod.directory.entry(digest: KeySecret.digest(of: secret)) === entry)
            #expect(self.fixture.keyStore.calls == calls + 1)
            #expect(await pod.resolve(secret).entry === entry && self.fixture.keyStore.calls == calls + 1)
        }
    }

    @Test("asks once for a digest that many calls want at a time")
    func singleFlight() async throws {
        let pod = OtherPod(self.fixture)
        let secret = try await self.fixture.makeKey()
        let calls = self.fixture.keyStore.calls
        let found = Shared(0)
        // Nobody looks anything up yet, so all of these wait.
        for _ in 0..<500 {
            pod.resolver.resolve(KeySecret.digest(of: secret)) { if $0.entry != nil { found.value += 1 } }
        }
        await self.serving(pod) { _ = await pod.resolve(secret) }
        #expect(found.value == 500 && self.fixture.keyStore.calls == calls + 1)
    }

    @Test("remembers for a while that a key does not exist, and forgets it when any key changes")
    func unknown() async throws {
        let pod = OtherPod(self.fixture)
        let secret = "sk-made-a-little-later"
        try await self.serving(pod) {
            let calls = self.fixture.keyStore.calls
            #expect(await pod.resolve(secret).isUnknown)
            #expect(await pod.resolve(secret).isUnknown)
            #expect(self.fixture.keyStore.calls == calls + 1)
            pod.now.value = .seconds(6)
            #expect(await pod.resolve(secret).isUnknown)
            #expect(self.fixture.keyStore.calls == calls + 2)
            _ = try await self.fixture.makeKey(#"{"key":"\#(secret)"}"#)
            #expect(await pod.resolve(secret).isUnknown)
            pod.resolver.forgetUnknown()
            #expect(await pod.resolve(secret).entry != nil)
        }
    }

    @Test("keeps its bounds under a flood of made-up keys")
    func bounds() async throws {
        let pod = OtherPod(
            self.fixture,
            configuration: ColdKeyConfiguration(readsMax: 2, waitingMax: 10, unknownMax: 20, unknownLife: .seconds(5)))
        let away = Shared(0)
        let (answers, continuation) = AsyncStream.makeStream(of: Void.self)
        for number in 0..<100 {
            pod.resolver.resolve(KeySecret.digest(of: "sk-\(number)")) { resolution in
                if resolution.isStoreAway { away.value += 1 } else { continuation.yield() }
            }
        }
        #expect(away.value == 90)
        await self.serving(pod) {
            var answered = 0
            for await _ in answers {
                answered += 1
                if answered == 10 { break }
            }
            for number in 0..<100 { #expect(await pod.resolve("sk-\(number)").isUnknown) }
            #expect(pod.resolver.unknownCount == 20)
        }
    }

    @Test("never calls a key unknown while the store is away")
    func storeAway() async throws {
        let pod = OtherPod(self.fixture)
        let secret = try await self.fixture.makeKey()
        await self.serving(pod) {
            self.fixture.keyStore.setDown(true)
            #expect(await pod.resolve(secret).isStoreAway)
            self.fixture.keyStore.setDown(false)
            pod.isStoreAway.value = true
            let calls = self.fixture.keyStore.calls
            #expect(await pod.resolve(secret).isStoreAway && self.fixture.keyStore.calls == calls)
            pod.isStoreAway.value = false
            #expect(await pod.resolve(secret).entry != nil)
        }
        #expect(await pod.resolve("sk-anything").isStoreAway)
    }

    @Test("answers those who still wait when it stops")
    func stops() async throws {
        let pod = OtherPod(self.fixture)
        let away = Shared(0)
        pod.resolver.resolve(KeySecret.digest(of: "sk-1")) { if $0.isStoreAway || $0.isUnknown { away.value += 1 } }
        let task = Task { await pod.resolver.run() }
        task.cancel()
        await task.value
        #expect(away.value == 1)
    }
}

@Suite("A refresher of spend")
struct SpendRefresherTests {
    @Test("brings other pods' spend and never counts anything twice")
    func refreshes() async throws {
        let fixture = ControlFixture()
        let secret = try await fixture.makeKey()
        let entry = try #require(fixture.directory.entry(digest: KeySecret.digest(of: secret)))
        let refresher = SpendRefresher(
            directory: fixture.directory, ledger: fixture.ledger, generator: SeededGenerator(seed: 1),
            logger: fixture.log.logger, sleep: { _ in })
        // 500 here, folded already; 300 elsewhere.
        try fixture.spend(500, by: secret, number: 1)
        fixture.ledger.add([Self.event(300, entry, number: 2)])
        for _ in 0..<3 { #expect(try await refresher.refresh() == 1) }
        #expect(entry.spend.spend == NanoUSD(rawValue: 800))
        // Not folded yet: what the store tells is less than what is known here.
        entry.spend.add(NanoUSD(rawValue: 50))
        try await refresher.refresh()
        #expect(entry.spend.spend == NanoUSD(rawValue: 850))
        fixture.ledger.add([Self.event(50, entry, number: 3)])
        #expect(try await fixture.info(secret)["spend"] as? Double == 8.5e-07)
    }

    private static func event(_ nanos: Int64, _ entry: KeyEntry, number: Int) -> UsageEvent {
        var event = UsageEvent.sample(number, payer: entry.payer)
        event.cost = NanoUSD(rawValue: nanos)
        return event
    }
}
