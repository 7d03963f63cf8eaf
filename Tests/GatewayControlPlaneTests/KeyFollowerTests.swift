import GatewayAdmission
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

@Suite("A follower of the change log")
struct KeyFollowerTests {
    let fixture = ControlFixture()
    /// A second pod on the same store.
    let directory = KeyDirectory()
    let follower: ChangeLogReader

    init() {
        let registry = KeyRegistry(
            directory: self.directory, keyStore: self.fixture.keyStore, ledger: self.fixture.ledger, reader: .utc)
        self.follower = ChangeLogReader(
            store: self.fixture.keyStore,
            followers: [KeyFollower(registry: registry, logger: self.fixture.log.logger, onChange: {})])
    }

    private func sees(_ secret: String) -> KeyEntry? { self.directory.entry(digest: KeySecret.digest(of: secret)) }

    @Test("loads all keys with what they have spent", arguments: [0, 1, 2, 3, 7, 65, 1001])
    func start(count: Int) async throws {
        var secrets: [String] = []
        for _ in 0..<count { secrets.append(try await self.fixture.makeKey()) }
        if let first = secrets.first { try self.fixture.spend(700, by: first, number: 1) }
        try await self.follower.start()
        #expect(self.directory.count == count)
        #expect(self.follower.position == Int64(count))
        if let first = secrets.first { #expect(self.sees(first)?.spend.spend == NanoUSD(rawValue: 700)) }
        try await self.follower.catchUp()
        #expect(self.follower.position == Int64(count))
    }

    @Test("brings every kind of change")
    func catchUp() async throws {
        let kept = try await self.fixture.makeKey()
        try await self.follower.start()
        let added = try await self.fixture.makeKey(#"{"max_budget":2}"#)
        try self.fixture.spend(900, by: added, number: 1)
        _ = await self.fixture.post("/key/block", #"{"key":"\#(kept)"}"#)
        try await self.follower.catchUp()
        #expect(self.follower.position == 3)
        #expect(self.sees(kept)?.record.isBlocked == true)
        #expect(self.sees(added)?.spend.spend == NanoUSD(rawValue: 900))
        let answer = await self.fixture.post("/key/\(added)/regenerate")
        _ = await self.fixture.post("/key/delete", #"{"keys":["\#(kept)"]}"#)
        try await self.follower.catchUp()
        #expect(self.sees(added) == nil && self.sees(kept) == nil)
        let renewed = try #require(answer.json["key"] as? String)
        #expect(self.sees(renewed)?.spend.spend == NanoUSD(rawValue: 900))
        #expect(self.follower.position == 5)
    }

    @Test("keeps the live spend of a key that changes")
    func keepsSpend() async throws {
        let secret = try await self.fixture.makeKey()
        try await self.follower.start()
        self.sees(secret)?.spend.add(NanoUSD(rawValue: 42))
        _ = await self.fixture.post("/key/update", #"{"key":"\#(secret)","user_id":"u"}"#)
        try await self.follower.catchUp()
        #expect(self.sees(secret)?.spend.spend == NanoUSD(rawValue: 42))
        #expect(self.sees(secret)?.record.userID == "u")
    }

    @Test("loads everything again when the log was cut below its position")
    func cutLog() async throws {
        let gone = try await self.fixture.makeKey()
        try await self.follower.start()
        _ = await self.fixture.post("/key/delete", #"{"keys":["\#(gone)"]}"#)
        let added = try await self.fixture.makeKey()
        self.fixture.keyStore.cutChanges(through: 2)
        try await self.follower.catchUp()
        #expect(self.sees(gone) == nil && self.sees(added) != nil)
        #expect(self.follower.position == 3)
    }

    @Test("loses no change, whichever call of the store fails", arguments: 1...6)
    func failures(call: Int) async throws {
        try await self.follower.start()
        let secrets = [try await self.fixture.makeKey(), try await self.fixture.makeKey(#"{"blocked":true}"#)]
        self.fixture.keyStore.fail(call: call, .before)
        for _ in 0..<2 {
            do {
                try await self.follower.catchUp()
            } catch {
                #expect(error == .unavailable("the test took the store away"))
            }
        }
        self.fixture.keyStore.heal()
        try await self.follower.catchUp()
        #expect(self.sees(secrets[0])?.record.isBlocked == false && self.sees(secrets[1])?.record.isBlocked == true)
    }

    @Test("never takes the master key away or replaces it")
    func masterKey() async throws {
        let digest = KeySecret.digest(of: ControlFixture.master)
        let record = try #require(self.fixture.directory.entry(digest: digest)?.record)
        var stored = record
        stored.keyID = VirtualKeyID(UUIDBits(high: 1, low: 1))
        try await self.fixture.keyStore.insert(stored)
        try await self.fixture.follower.start()
        try await self.fixture.follower.catchUp()
        #expect(self.fixture.directory.entry(digest: digest)?.isMaster == true)
        #expect(self.fixture.directory.count == 1)
    }

    @Test("and changes of the same pod never undo each other")
    func sideBySide() async throws {
        let fixture = self.fixture
        try await fixture.follower.start()
        let secret = try await fixture.makeKey()
        await withTaskGroup(of: Void.self) { group in
            for round in 1...50 {
                group.addTask { _ = await fixture.post("/key/update", #"{"key":"\#(secret)","user_id":"u\#(round)"}"#) }
                group.addTask { _ = try? await fixture.follower.catchUp() }
            }
        }
        let digest = KeySecret.digest(of: secret)
        #expect(fixture.directory.entry(digest: digest)?.record == (try await fixture.keyStore.key(digest: digest)))
    }
}
