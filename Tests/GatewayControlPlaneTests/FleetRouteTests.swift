import GatewayControlPlane
import GatewayCore
import GatewayLedger
import TestSupport
import Testing

/// A fleet whose answers a test chooses.
private final class FixedFleet: FleetDirectory {
    let answer = Shared(
        FleetWait(
            position: 3, acknowledged: [FleetWait.Pod(name: "pod-a", processID: 1)], laggards: [], dead: [],
            isKnown: true))
    let waits = Shared<[Duration]>([])
    let mutations = Shared(0)
    let view: FleetSnapshot
    let health = FleetHealth(
        pods: 3, changeLag: 2, changePosition: 40, beatAge: .milliseconds(250),
        storeUnreachableFor: .milliseconds(1500), isBeyondGrace: false, holdsJobs: true)

    init(_ view: FleetSnapshot) { self.view = view }
    func snapshot() async -> FleetSnapshot { self.view }
    func noteMutation() { self.mutations.value += 1 }
    func waitForFleet(timeout: Duration) async -> FleetWait {
        self.waits.value.append(timeout)
        return self.answer.value
    }
}

@Suite("The fleet's routes")
struct FleetRouteTests {
    private let fleet: FixedFleet
    private let fixture: ControlFixture

    init() {
        let beat = PodBeat(
            podID: PodID(UUIDBits(high: 1, low: 1)), name: "pod-a", processID: 11, version: "0.2.0",
            startedAt: UnixMicroseconds(rawValue: 1_795_348_800_000_000), journal: JournalID(UUIDBits(high: 2, low: 2)),
            applied: 99, changePosition: 40, journalBytes: 1 << 20, connections: 2)
        let orphan = OrphanedStream(
            journal: JournalID(UUIDBits(high: 3, low: 3)), streamID: 7, state: .orphan, podName: "pod-z",
            beatAge: .seconds(9), applied: 5, spendOfLastMinute: NanoUSD(rawValue: 1_500_000_000))
        let fleet = FixedFleet(
            FleetSnapshot(
                pods: [PodView(beat: beat, beatAge: .milliseconds(321))], orphans: [orphan], changeHead: 42,
                storeUnreachableFor: nil))
        self.fleet = fleet
        self.fixture = ControlFixture(fleet: fleet)
    }

    @Test("show pods, orphans with the amount at risk, and the change log's head")
    func shows() async throws {
        let answer = await self.fixture.get("/fleet")
        #expect(answer.status == 200)
        let pod = try #require((answer.json["pods"] as? [[String: Any]])?.first)
        #expect(pod["name"] as? String == "pod-a" && pod["pid"] as? Int == 11 && pod["version"] as? String == "0.2.0")
        #expect(pod["beat_age_ms"] as? Int == 321 && pod["applied"] as? Int == 99)
        #expect(pod["change_position"] as? Int == 40 && pod["journal_bytes"] as? Int == 1 << 20)
        #expect(pod["connections"] as? Int == 2 && pod["started_at"] as? String == "2026-11-22T12:00:00.000000Z")
        let orphan = try #require((answer.json["orphans"] as? [[String: Any]])?.first)
        #expect(orphan["pod"] as? String == "pod-z" && orphan["at_risk_usd_per_minute"] as? Double == 1.5)
        #expect(answer.json["change_head"] as? Int == 42)
        #expect(await self.fixture.get("/fleet", key: nil).status == 401)
    }

    @Test("tell its figures to metrics")
    func metrics() async {
        let text = await self.fixture.get("/metrics").text
        for line in [
            "martlet_fleet_pods 3", "martlet_change_lag 2", "martlet_change_position 40", "martlet_fleet_jobs_held 1",
            "martlet_beat_age_seconds 0.25", "martlet_store_unreachable_seconds 1.5",
        ] { #expect(text.contains("\n" + line + "\n"), "\(line)") }
    }

    @Test("let a change wait for all pods, by query or header")
    func waits() async throws {
        let answer = await self.fixture.post("/key/generate?wait=fleet", "{}")
        #expect(answer.status == 200 && answer.header("x-martlet-fleet") == "acknowledged")
        #expect(answer.header("x-martlet-fleet-laggards") == nil)
        let key = try #require(answer.json["key"] as? String)
        _ = await self.fixture.post("/key/block?wait=fleet&wait_timeout_ms=250", #"{"key":"\#(key)"}"#)
        #expect(self.fleet.waits.value == [.seconds(5), .milliseconds(250)] && self.fleet.mutations.value == 0)
        _ = await self.fixture.post("/key/unblock", #"{"key":"\#(key)"}"#)
        #expect(self.fleet.waits.value.count == 2 && self.fleet.mutations.value == 1)
    }

    @Test("name the laggards and keep the status")
    func laggards() async {
        self.fleet.answer.value.laggards = [
            FleetWait.Pod(name: "pod-b", processID: 7), FleetWait.Pod(name: "a,b:c\r\nx: y", processID: 8),
        ]
        let answer = await self.fixture.post("/key/generate?wait=fleet", "{}")
        #expect(answer.status == 200 && answer.header("x-martlet-fleet") == "partial")
        #expect(answer.header("x-martlet-fleet-laggards") == "pod-b:7,a_b_c__x__y:8")
        self.fleet.answer.value.isKnown = false
        #expect(await self.fixture.post("/key/generate?wait=fleet", "{}").header("x-martlet-fleet") == "unknown")
    }

    @Test(
        "refuse a wait that makes no sense before anything is changed",
        arguments: [
            "wait=everybody", "wait=fleet&wait_timeout_ms=0", "wait=fleet&wait_timeout_ms=60000",
            "wait_timeout_ms=soon",
        ])
    func refuses(query: String) async {
        let calls = self.fixture.keyStore.calls
        let answer = await self.fixture.post("/key/generate?\(query)", "{}")
        #expect((400..<500).contains(answer.status) && self.fixture.keyStore.calls == calls)
        #expect(self.fleet.waits.value.isEmpty)
    }

    @Test("do not wait after a refusal or a read")
    func onlyChanges() async {
        #expect(await self.fixture.post("/key/block?wait=fleet", #"{"key":"sk-none-such"}"#).status == 404)
        _ = await self.fixture.get("/key/list?wait=fleet")
        #expect(self.fleet.waits.value.isEmpty && self.fleet.mutations.value == 0)
    }
}
