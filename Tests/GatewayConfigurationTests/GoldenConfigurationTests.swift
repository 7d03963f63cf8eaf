import Foundation
import GatewayConfiguration
import Testing

@Suite("A configuration file")
struct GoldenConfigurationTests {
    @Test("gives the settings and diagnostics on record", arguments: Golden.names)
    func matchesRecord(name: String) throws {
        let text = try Golden.text("\(name).yaml")
        let result = Fixture.load(text)
        #expect((result.settings == nil) == result.hasErrors)
        try Golden.compare(SettingsText.describe(result), with: "Golden/\(name).expected")
    }

    @Test("has a line and a column in every diagnostic about a file", arguments: Golden.names)
    func hasPositions(name: String) throws {
        for diagnostic in Fixture.load(try Golden.text("\(name).yaml")).diagnostics
        where diagnostic.position != .environment {
            #expect(
                diagnostic.position.line > 0 && diagnostic.position.column > 0, "\(diagnostic.rendered)")
        }
    }

    @Test("is reported like a compiler does")
    func isRenderedLikeACompiler() throws {
        let result = Fixture.load(try Golden.text("04-typos.yaml"))
        let expected =
            "config.yaml:5:7: error: unknown key \"api_kye\" in litellm_params; did you mean \"api_key\"?"
        #expect(result.diagnostics.contains { $0.rendered == expected })
        #expect(result.diagnostics.contains { $0.keyPath == "model_list[0].litellm_params.api_kye" })
    }

    @Test(
        "keeps a deployment's identifier when its key or its place changes, and gives copies an ordinal"
    )
    func keepsIdentifiers() throws {
        func identifiers(_ keys: [String], order: [String]) throws -> [String: [String]] {
            var text = "model_list:\n"
            for (key, model) in zip(keys, order) {
                text += "  - {model_name: m, litellm_params: {model: openai/\(model), api_key: \(key)}}\n"
            }
            let settings = try #require(Fixture.load(text).settings)
            return Dictionary(grouping: settings.routing.deployments, by: \.model).mapValues {
                $0.map(\.deploymentID)
            }
        }
        let before = try identifiers(["k1", "k2", "k3"], order: ["a", "b", "b"])
        let after = try identifiers(["x1", "x2", "x3"], order: ["b", "b", "a"])
        #expect(before == after)
        let copies = try #require(before["b"])
        #expect(copies[1] == copies[0] + "-2")
        #expect(Set(before.values.flatMap { $0 }).count == 3)
    }
}
