import GatewayAdmission
import GatewayCore
import TestSupport
import Testing

@Suite("Pods that share a budget", .ownThread)
struct SharedBudgetTests {
    /// Demand of three times the budget: it is spent after a third of the time.
    private static func options(pods: Int, seed: UInt64) -> EscrowSimulation.Options {
        let perSecond = Double(25 * pods + 100)
        let terms = EscrowTerms(
            BudgetTerms(
                subject: Subject(.key, "k"), label: "", limit: NanoUSD(rawValue: Int64(perSecond * 1e6 * 20 / 3)),
                window: .lifetime, mode: .strict, softLimit: nil))
        var options = EscrowSimulation.Options(terms: terms)
        (options.pods, options.callsPerSecond, options.seed) = (pods, perSecond, seed)
        return options
    }

    @Test("never pass it, and use it up before they refuse", arguments: [(1, 0.02), (4, 0.02), (16, 0.10)])
    func spendsAll(pods: Int, falseRefusalsMax: Double) async throws {
        for seed in [1, 2, 3] as [UInt64] {
            let result = try await EscrowSimulation(Self.options(pods: pods, seed: seed)).run()
            let used = Double(result.spent) / Double(Self.options(pods: pods, seed: seed).terms.limit)
            let falsely = Double(result.falselyRefused) / Double(result.calls)
            let note =
                "pods \(pods), seed \(seed): calls \(result.calls), refused \(result.refused), falsely \(falsely), "
                + "first false refusal at \(result.usedAtFirstFalse ?? 1), first refusal at "
                + "\(result.usedAtFirstRefusal ?? 1), used \(used), operations per pod and second "
                + "\(Double(result.operations) / Double(pods) / result.seconds)"
            Figures.line(note)
            #expect(result.overshoot == 0, "\(note)")
            #expect(used >= 0.97, "\(note)")
            #expect(falsely <= falseRefusalsMax, "\(note)")
            #expect((result.usedAtFirstFalse ?? 1) >= 0.97, "\(note)")
        }
    }
}

@Suite("Pods that share a rate limit", .ownThread)
struct SharedRateTests {
    @Test(
        "never pass it within a window, and use it",
        arguments: [60, 600, 6000], [(1, 0.8), (4, 0.8), (16, 0.8), (1, 3.0), (4, 3.0), (16, 3.0)])
    func holds(limit: Int64, load: (pods: Int, offered: Double)) async throws {
        let terms = EscrowTerms(
            LimitTerms(subject: Subject(.key, "k"), unit: .requests, window: .minute, value: limit))
        var options = EscrowSimulation.Options(terms: terms)
        options.pods = load.pods
        options.callsPerSecond = Double(limit) / 60 * load.offered
        options.seconds = limit == 60 ? 600 : 180
        options.seed = UInt64(limit) + UInt64(load.pods)
        let result = try await EscrowSimulation(options).run()
        var possible: Int64 = 0
        for offered in result.offeredByWindow.values { possible += min(limit, offered) }
        let admitted = result.admittedByWindow.values.reduce(0, +)
        let use = Double(admitted) / Double(possible)
        let most = result.admittedByWindow.values.max() ?? 0
        let note =
            "limit \(limit), pods \(load.pods), offered \(load.offered)x: most in a window \(most), use \(use), falsely "
            + "refused \(Double(result.falselyRefused) / Double(result.calls)), operations per second "
            + "\(Double(result.operations) / result.seconds)"
        Figures.line(note)
        #expect(most <= limit, "\(note)")
        #expect(use >= 0.97, "\(note)")
    }
}

@Suite("Pods that share a sliding limit", .ownThread)
struct SharedSlidingRateTests {
    @Test(
        "never pass it in any 60 seconds, and use it",
        arguments: [60, 600, 6000], [(1, 0.8), (4, 0.8), (16, 0.8), (1, 3.0), (4, 3.0), (16, 3.0)])
    func holds(limit: Int64, load: (pods: Int, offered: Double)) async throws {
        let terms = EscrowTerms(
            LimitTerms(subject: Subject(.key, "k"), unit: .requests, window: .slidingMinute, value: limit))
        var options = EscrowSimulation.Options(terms: terms)
        options.pods = load.pods
        options.callsPerSecond = Double(limit) / 60 * load.offered
        options.seconds = limit == 60 ? 600 : limit == 600 ? 300 : 180
        options.seed = UInt64(limit) + UInt64(load.pods)
        let result = try await EscrowSimulation(options).run()
        let use = Double(result.admitted) / Double(result.ideallyAdmitted)
        let note =
            "sliding, limit \(limit), pods \(load.pods), offered \(load.offered)x: most in any minute "
            + "\(result.mostInAnyMinute), use \(use), falsely refused "
            + "\(Double(result.falselyRefused) / Double(result.calls)), operations per second "
            + "\(Double(result.operations) / result.seconds)"
        Figures.line(note)
        #expect(result.mostInAnyMinute <= limit, "\(note)")
        #expect(use >= 0.97, "\(note)")
    }
}
