import GatewayPricing
import TestSupport
import Testing

@Suite("A price file of the user", .ownThread)
struct PriceFileTests {
    private static let header = "#martlet-prices 1 2026-11-22\n"
    private static let good =
        header + "# comment\n\nb\topenai\tchat\t128000\t-\tinput=2\toutput=3\n"
        + "a\tgroq\tembedding\t-\t16\tinput=1\tinput@batch=0\tinput>200=2\tper_query=7\n"

    @Test("may hold comments, empty lines, CR LF, any order, and no newline at its end")
    func accepted() throws {
        let variants = [
            Self.good, Self.good.split(separator: "\n").joined(separator: "\r\n"), String(Self.good.dropLast()),
        ]
        for text in variants {
            let catalogue = try PriceCatalogue.parse(text: text)
            #expect(catalogue.version == "2026-11-22")
            #expect(catalogue.entry(named: "a")?.maxOutputTokens == 16)
            #expect(catalogue.entry(named: "b")?.maxInputTokens == 128_000)
            #expect(catalogue.entry(named: "c") == nil)
        }
        #expect(try PriceCatalogue.parse(text: Self.header).entry(named: "a") == nil)
    }

    @Test(
        "is refused whole with the line at fault",
        arguments: [
            ("", 1, "must start with"), ("#martlet-prices 2 x\n", 1, "must start with"),
            ("#martlet-prices 1 \n", 1, "must start with"), ("#martlet-prices 1 a b\n", 1, "must start with"),
            (header + "a\n", 2, "fields"), (header + "a\topenai\tchat\t-\n", 2, "fields"),
            (header + "\n\ta\topenai\tchat\t-\t-\n", 3, "name is empty"),
            (header + "a b\topenai\tchat\t-\t-\n", 2, "blanks"), (header + "a\t\tchat\t-\t-\n", 2, "provider"),
            (header + "a\topenai\tchatt\t-\t-\n", 2, "unknown mode \"chatt\""),
            (header + "a\topenai\tchat\t-1\t-\n", 2, "input tokens"),
            (header + "a\topenai\tchat\t-\t+1\n", 2, "output tokens"),
            (header + "a\topenai\tchat\t-\t-\tinput\n", 2, "NAME=PICODOLLARS"),
            (header + "a\topenai\tchat\t-\t-\t\n", 2, "NAME=PICODOLLARS"),
            (header + "a\topenai\tchat\t-\t-\tinptu=1\n", 2, "unknown rate \"inptu\""),
            (header + "a\topenai\tchat\t-\t-\tinput@fast=1\n", 2, "unknown tier \"fast\""),
            (header + "a\topenai\tchat\t-\t-\tinput@standard=1\n", 2, "unknown tier"),
            (header + "a\topenai\tchat\t-\t-\tinput>0=1\n", 2, "threshold"),
            (header + "a\topenai\tchat\t-\t-\tinput>x=1\n", 2, "threshold"),
            (header + "a\topenai\tchat\t-\t-\tinput=-1\n", 2, "whole number"),
            (header + "a\topenai\tchat\t-\t-\tinput=1.5\n", 2, "whole number"),
            (header + "a\topenai\tchat\t-\t-\tinput=\n", 2, "whole number"),
            (header + "a\topenai\tchat\t-\t-\tinput=1000000000000001\n", 2, "whole number"),
            (header + "a\topenai\tchat\t-\t-\tinput=99999999999999999999\n", 2, "whole number"),
            (header + "a\topenai\tchat\t-\t-\tinput=1\tinput=1\n", 2, "second time"),
            (header + "a\topenai\tchat\t-\t-\tper_query@flex=1\n", 2, "only rates per token"),
            (header + "a\topenai\tchat\t-\t-\nb\topenai\tchat\t-\t-\na\tgroq\tchat\t-\t-\n", 4, "at line 2"),
        ])
    func refused(text: String, line: Int, reason: String) {
        let error = #expect(throws: PriceCatalogueError.self) { try PriceCatalogue.parse(text: text) }
        #expect(error?.line == line)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "none")")
    }

    @Test("cut at any byte is read or refused, never a crash")
    func cuts() {
        let bytes = Array(Self.good.utf8)
        for end in 0...bytes.count {
            let text = String(decoding: bytes[..<end], as: UTF8.self)
            guard let catalogue = try? PriceCatalogue.parse(text: text) else { continue }
            catalogue.forEachEntry { _, _, entry in
                #expect(throws: Never.self) { try entry.get() }
            }
        }
    }

    @Test("with any byte changed is read or refused, never a crash", arguments: [11, 12] as [UInt64])
    func mutations(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<1_000 {
            var bytes = Array(Self.good.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard let catalogue = try? PriceCatalogue.parse(text: String(decoding: bytes, as: UTF8.self)) else {
                continue
            }
            catalogue.forEachEntry { _, text, entry in
                guard case .success(let price) = entry else {
                    Issue.record("seed \(seed): \(text)")
                    return
                }
                #expect(catalogue.entry(named: price.name) == price, "seed \(seed): \(text)")
            }
        }
    }
}
