import GatewayFleet
import GatewayLedger
import TestSupport
import Testing

/// The program's own journals, shippers, members, feeds, job runners and adopters, with the store's model, in virtual
/// time. `FLEET_SEED` repeats a run.
@Suite("A fleet of many pods", .ownThread)
struct FleetSimulationTests {
    private func run(
        seed: UInt64, pods: Int, for duration: Duration, faults: NetworkFaults
    ) throws -> (steps: Int, events: [String: Int]) {
        let time = SimulatedTime(seed: seed)
        let fleet = SimulatedFleet(time: time, faults: faults)
        defer { fleet.disk.clear() }
        do {
            try time.run { try await fleet.run(pods: pods, for: duration) }
        } catch {
            Issue.record("seed \(seed): \(error)")
        }
        let broken = fleet.store.broken
        #expect(broken.isEmpty, "seed \(seed): \(broken.prefix(5).joined(separator: "; ")) (\(broken.count))")
        return (time.steps, fleet.events.merging(["calls": fleet.calls.count]) { $1 })
    }

    @Test("loses nothing and counts nothing twice, whatever dies, stops or gets lost", arguments: 0..<4)
    func chaos(number: Int) throws {
        let seed = simulationSeed ?? UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        let startedAt = Deadline.now
        let (steps, events) = try self.run(seed: seed, pods: 12, for: .seconds(30), faults: .bad)
        print("\(steps) steps in \((Deadline.now - startedAt) / 1_000_000) ms: \(events.sorted { $0.key < $1.key })")
        #expect(events["kill", default: 0] > 0)
    }

    @Test("is exact with 64 pods")
    func many() throws {
        let seed = simulationSeed ?? UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        let startedAt = Deadline.now
        let (steps, events) = try self.run(seed: seed, pods: 64, for: .seconds(10), faults: .bad)
        print("\(steps) steps in \((Deadline.now - startedAt) / 1_000_000) ms: \(events.sorted { $0.key < $1.key })")
    }

    @Test("does the same again with the same seed")
    func repeats() throws {
        let first = try self.run(seed: 42, pods: 5, for: .seconds(8), faults: .bad)
        let second = try self.run(seed: 42, pods: 5, for: .seconds(8), faults: .bad)
        #expect(first.steps == second.steps && first.events == second.events)
    }
}

/// `FLEET_SEED` of the environment.
let simulationSeed: UInt64? = environmentNumber("FLEET_SEED")
