import GatewayCore
import GatewayRouting
import Testing

@Suite("The routing table")
struct RoutingTableTests {
    private static func table(
        groups: [String], aliases: [(alias: String, group: String, isHidden: Bool)] = [],
        fallbacks: [(group: String, targets: [String])] = []
    ) -> RoutingTable {
        RoutingTable(
            RoutingConfiguration(
                deployments: groups.enumerated().map { index, group in
                    DeploymentConfiguration(
                        modelGroup: group, provider: "openai", model: "m", deploymentID: "d\(index)", address: nil,
                        authentication: nil, extraHeaders: [], weight: 1,
                        limits: DeploymentLimits(
                            inFlightMax: nil, waitingMax: nil, totalTimeout: nil, streamTimeout: nil),
                        streamUsage: .onRequest, answer: .demo, verifiesTLS: true, authorityFile: nil)
                }, aliases: aliases, retriesMax: 0, fallbacks: fallbacks, cooldown: .zero))
    }

    private static func text(_ group: String, _ capture: String?) -> String { "\(group) \(capture ?? "(none)")" }

    private static func text(_ resolution: RoutingTable.Resolution?) -> String {
        resolution.map { self.text($0.group, $0.capture) } ?? "unknown"
    }

    @Test("takes an alias before an exact name, and an exact name before a wildcard")
    func order() {
        let table = Self.table(
            groups: ["gpt-4o", "gpt-*", "*"], aliases: [("gpt-4o-mini", "gpt-4o", false), ("gpt-4o", "other", true)])
        #expect(Self.text(table.resolve("gpt-4o-mini")) == Self.text("gpt-4o", nil))
        #expect(Self.text(table.resolve("gpt-5")) == Self.text("gpt-*", "5"))
        #expect(Self.text(table.resolve("claude")) == Self.text("*", "claude"))
        // The alias wins over the group of the same name; its target is served by what matches it.
        #expect(Self.text(table.resolve("gpt-4o")) == Self.text("*", "other"))
    }

    @Test("takes the most specific wildcard, however they are listed")
    func specific() {
        let groups = ["*", "openai/*", "openai/gpt-*", "openai/gpt-4o*", "*-mini"]
        for turn in groups.indices {
            let table = Self.table(groups: Array(groups[turn...] + groups[..<turn]))
            #expect(table.resolve("openai/gpt-4o-mini")?.group == "openai/gpt-4o*")
            #expect(table.resolve("openai/gpt-5")?.group == "openai/gpt-*")
            #expect(table.resolve("openai/o3")?.group == "openai/*")
            #expect(table.resolve("phi-mini")?.group == "*-mini")
            #expect(table.resolve("phi")?.group == "*")
        }
    }

    @Test("decides ties between wildcards by their text, so that all pods agree")
    func ties() {
        for groups in [["a*", "*a"], ["*a", "a*"]] {
            #expect(Self.table(groups: groups).resolve("aa")?.group == "*a")
        }
    }

    @Test("knows no name that nothing matches")
    func unknown() {
        let table = Self.table(groups: ["gpt-4o", "openai/*"], aliases: [("a", "nowhere", false)])
        for name in ["", "gpt-4", "GPT-4o", "openai", "a", "gpt-4o "] { #expect(table.resolve(name) == nil) }
    }

    @Test("gives the fallbacks of a group, else those of the star, else none")
    func fallbacks() {
        let table = Self.table(
            groups: ["a", "b"], fallbacks: [("a", ["b", "c"]), ("*", ["d"]), ("a", ["e"])])
        #expect(table.fallbacks(of: "a") == ["b", "c", "e"])
        #expect(table.fallbacks(of: "b") == ["d"])
        #expect(Self.table(groups: ["a"]).fallbacks(of: "a") == [])
    }
}
