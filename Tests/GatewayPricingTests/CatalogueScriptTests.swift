import Foundation
import GatewayPricing
import TestSupport
import Testing

/// Runs scripts/make-price-catalogue on small price maps.
@Suite("The catalogue script", .ownThread, .enabled(if: CatalogueScript.isAvailable, "python3 is not installed"))
struct CatalogueScriptTests {
    @Test("reads prices exactly, from numbers and from texts")
    func exactness() throws {
        let run = try CatalogueScript.run(
            #"{"m": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1.5e-07, "max_input_tokens": 8,"#
                + #" "output_cost_per_token": "4e-07", "cache_read_input_token_cost": 1.0000000000000001e-07}}"#)
        #expect(run.lines == ["m\tp\tchat\t8\t-\tinput=150000\tcache_read=100000\toutput=400000"])
        #expect(run.errors.contains("floating point noise, taken as meant: 1"))
        #expect(run.errors.contains("not exact in picodollars, rounded: 0"))
    }

    @Test("says what it rounds, skips and leaves out")
    func report() throws {
        let run = try CatalogueScript.run(
            #"{"sample_spec": {}, "a": {"litellm_provider": "p", "mode": "chat"}, "b": {"mode": "chat"}, "c d": {"#
                + #""litellm_provider": "p", "input_cost_per_token": 1}, "e": {"litellm_provider": "p", "mode": "new","#
                + #" "input_cost_per_token": 1.23456789e-7, "input_cost_per_token_ultrafast": 1e-7}}"#)
        #expect(run.lines == ["e\tp\tother\t-\t-\tinput=123457"])
        for text in ["rounded: 1", "1 no provider", "1 not a model", "1 name with", "1 no price", "_ultrafast"] {
            #expect(run.errors.contains(text), "\(text)")
        }
    }

    @Test(
        "refuses what no price can be",
        arguments: ["-1e-7", "NaN", "Infinity", "\"nan\"", "\"abc\"", "true", "[1]", "{\"a\": 1}", "1001", "1e400"])
    func refused(value: String) throws {
        let run = try CatalogueScript.run(
            "{\"m\": {\"litellm_provider\": \"p\", \"mode\": \"chat\", \"input_cost_per_token\": \(value)}}")
        #expect(run.status == 1)
        #expect(run.lines.isEmpty)
        #expect(run.errors.hasPrefix("make-price-catalogue: "))
    }

    @Test("refuses a model or key that is there twice")
    func duplicates() throws {
        let run = try CatalogueScript.run(#"{"m": {"litellm_provider": "p"}, "m": {"litellm_provider": "p"}}"#)
        #expect(run.status == 1)
        #expect(run.errors.contains("twice"))
    }

    @Test("reads tiers, thresholds and ranges as the configuration does")
    func sameAsConfiguration() throws {
        let keys = [
            "input_cost_per_token", "input_cost_per_token_batches", "input_cost_per_token_above_200k_tokens",
            "input_cost_per_token_above_200k_tokens_priority", "output_cost_per_token", "output_cost_per_token_flex",
            "cache_read_input_token_cost_above_128k_tokens", "cache_creation_input_token_cost",
            "cache_creation_input_token_cost_above_1hr", "cache_creation_input_token_cost_above_12hr_batches",
            "output_cost_per_reasoning_token", "input_cost_per_audio_token_flex", "output_cost_per_image_token",
            "input_cost_per_second", "output_cost_per_image", "input_cost_per_query", "ocr_cost_per_page",
        ]
        var entries: [(key: String, value: PriceValue)] = []
        var fields = [#""litellm_provider": "p""#, #""mode": "chat""#]
        for (index, key) in keys.enumerated() {
            entries.append((key, .text("\(index + 1)e-7")))
            fields.append("\"\(key)\": \(index + 1)e-7")
        }
        let price = ModelPrice.unknown(name: "m", provider: "p").overridden(by: try PriceOverride(entries: entries))
        let run = try CatalogueScript.run("{\"m\": {\(fields.joined(separator: ", "))}}")
        #expect(run.lines.first?.split(separator: "\t").dropFirst(5).map(String.init) == price.rates.map(\.text))
        let catalogue = try PriceCatalogue.parse(text: run.output)
        #expect(catalogue.entry(named: "m")?.rates == price.rates)
    }

    @Test("writes ranges and xAI's thresholds as thresholds that are exceeded")
    func ranges() throws {
        let run = try CatalogueScript.run(
            #"{"q": {"litellm_provider": "p", "mode": "chat", "tiered_pricing": [{"range": [0, 32000.0],"#
                + #" "input_cost_per_token": 1e-6, "cache_read_input_token_cost": 1e-7}, {"range": [32000.0, 1e6],"#
                + #" "input_cost_per_token": 2e-6}]}, "x": {"litellm_provider": "xai", "mode": "chat","#
                + #" "input_cost_per_token": 1e-6, "input_cost_per_token_above_200k_tokens": 2e-6}}"#)
        #expect(
            run.lines == [
                "q\tp\tchat\t-\t-\tinput=1000000\tinput>32000=2000000\tcache_read=100000\tcache_read>32000=2000000",
                "x\txai\tchat\t-\t-\tinput=1000000\tinput>199999=2000000",
            ])
    }
}

private enum CatalogueScript {
    struct Run {
        let status: Int32
        let output: String
        let errors: String

        /// Without the header.
        var lines: [String] { self.output.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init) }
    }

    private static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "scripts/make-price-catalogue").path

    static var isAvailable: Bool {
        let places = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return places.contains { FileManager.default.isExecutableFile(atPath: "\($0)/python3") }
    }

    static func run(_ priceMap: String) throws -> Run {
        let directory = FileManager.default.temporaryDirectory.appending(path: "prices-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let input = directory.appending(path: "map.json")
        try Data(priceMap.utf8).write(to: input)
        let errors = directory.appending(path: "errors")
        try Data().write(to: errors)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", Self.path, input.path]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Run(
            status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }
}
