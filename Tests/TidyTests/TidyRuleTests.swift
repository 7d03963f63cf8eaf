import Testing

/// Every rule of the house fires on a planted breach, and not on its innocent neighbours.
@Suite("A tidy rule", .ownThread)
struct TidyRuleTests {
    private func file(_ text: String, _ path: String = "Sources/GatewayWire/Planted.swift") -> SourceFile {
        SourceFile(path: path, text: text)
    }

    @Test(
        "rejects an import that goes up or sideways, and a dependency outside its fence",
        arguments: [
            ("GatewayCore", "import GatewayWire"), ("GatewayWire", "package import GatewayLedger"),
            ("GatewayProviders", "import struct GatewayPricing.Rate"), ("GatewayWire", "import NIOCore"),
            ("GatewayLedger", "import Foundation"), ("GatewayControlPlane", "import GRDB"),
            ("GatewayDataPlane", "import GatewayControlPlane"), ("GatewaySQLite", "@preconcurrency import Yams"),
            ("GatewayRouting", "import TestSupport"), ("TestSupport", "import GatewayDataPlane"),
            ("Unheard", "import GatewayCore"),
        ])
    func layerBreach(target: String, line: String) {
        #expect(LayerRule.violations(in: self.file("\(line)\n", "Sources/\(target)/A.swift")).count == 1)
    }

    @Test(
        "accepts an import from below",
        arguments: [
            ("GatewayWire", "import GatewayCore"), ("GatewayDataPlane", "import NIOPosix"),
            ("GatewayWire", "import func Glibc.memchr"), ("GatewayWire", "// import GatewayLedger"),
            ("GatewaySQLite", "let text = \"import NIOCore\""), ("martlet", "import GatewayConfiguration"),
        ])
    func layerKept(target: String, line: String) {
        #expect(LayerRule.violations(in: self.file("\(line)\n", "Sources/\(target)/A.swift")) == [])
    }

    @Test("rejects a function of 71 lines and accepts one of 70")
    func functionLength() {
        func function(lines: Int) -> String {
            "struct A {\n    func f(_ g: () -> Void = {}) throws -> [Int] where A == A {\n"
                + String(repeating: "        work(\"}\")  // }\n", count: lines - 2) + "    }\n    var x = 1\n}\n"
        }
        #expect(LengthRule.violations(in: self.file(function(lines: 70))) == [])
        let violations = LengthRule.violations(in: self.file(function(lines: 71)))
        #expect(violations.map(\.line) == [2])
        #expect(violations.first?.message == "a function of 71 lines, at most 70")
    }

    @Test("does not take a requirement without a body for a function")
    func requirements() {
        let text =
            "protocol P {\n    func f() -> Int\n    var x: Int { get }\n    init()\n}\nstruct S {\n\(String(repeating: "    let a = 1\n", count: 90))}\n"
        #expect(LengthRule.violations(in: self.file(text)) == [])
        #expect(LengthRule.functions(in: "func a() {\n}\ninit() {}\n").map(\.lineCount) == [2, 1])
    }

    @Test("rejects a file of more than 700 lines unless it is a generated table")
    func fileLength() {
        let text = String(repeating: "let a = 1\n", count: 700)
        #expect(LengthRule.violations(in: self.file(text)).count == 1)
        #expect(LengthRule.violations(in: self.file(String(text.dropFirst(20)))) == [])
        #expect(LengthRule.violations(in: self.file("// \(SourceFile.generatedMark)\n" + text)) == [])
    }

    @Test("rejects each banned text where it is banned", arguments: BannedTextRule.bans.indices)
    func banned(index: Int) {
        let ban = BannedTextRule.bans[index]
        let paths = ["Sources/GatewayWire/A.swift", "Tests/GatewayWireTests/A.swift"]
        let files = paths.map { self.file("let a = 1\n    _ = \(ban.text) x\n", $0) }.filter { ban.applies($0) }
        #expect(!files.isEmpty)
        for file in files {
            #expect(BannedTextRule.violations(in: file).contains { $0.line == 2 && $0.message.hasPrefix(ban.text) })
        }
    }

    @Test("leaves words alone that only look banned")
    func notBanned() {
        let text = "sprint(1); a.print(2); let s = \"print(\"; try value; // Date() is injected\n"
        #expect(BannedTextRule.violations(in: self.file(text)) == [])
        #expect(BannedTextRule.violations(in: self.file("print(1)\n", "Sources/martlet/A.swift")) == [])
    }

    @Test("rejects an unlisted escape from concurrency checks, and one more than is listed")
    func unchecked() {
        let text = "final class A: @unchecked Send" + "able {}\n"
        #expect(UncheckedConcurrencyRule.violations(in: self.file(text), allowed: [:]).count == 1)
        let path = "Sources/GatewayWire/Planted.swift"
        #expect(UncheckedConcurrencyRule.violations(in: self.file(text), allowed: [path: (1, "proof")]) == [])
        #expect(
            UncheckedConcurrencyRule.violations(in: self.file(text + text), allowed: [path: (1, "proof")]).count == 2)
    }

    @Test("rejects a path of one machine in any file", arguments: MachinePathRule.patterns)
    func machinePath(pattern: String) {
        #expect(MachinePathRule.violations(in: self.file("see \(pattern)x\n", "docs/a.md")).count == 1)
        #expect(MachinePathRule.violations(in: self.file("see /etc/x, /tmp/x\n", "docs/a.md")) == [])
    }

    @Test("rejects a golden file that no test of its target names")
    func golden() {
        let files = [
            self.file("{}", "Tests/ATests/Golden/named.json"), self.file("{}", "Tests/ATests/Golden/lost.json"),
            self.file("{}", "Tests/ATests/Golden/whole/one.json"),
            self.file("read(\"named\"); readAll(\"whole\")", "Tests/ATests/ATests.swift"),
            self.file("\"lost\"", "Tests/BTests/BTests.swift"),
        ]
        #expect(GoldenRule.violations(in: files).map(\.path) == ["Tests/ATests/Golden/lost.json"])
    }

    @Test("sees through comments, raw strings and strings inside interpolations")
    func masking() {
        let text = "a /* b /* c */ d */ e \"f \\(g(\"h\")) i\" j #\"k \"l\" \\(m)\"# n \"\"\"\no \" p\n\"\"\" q // r\ns"
        let code = SourceFile(path: "A.swift", text: text).code
        #expect(code.filter { $0.isLetter } == "aejnqs")
        #expect(code.utf8.count == text.utf8.count)
    }
}
