import Foundation
import GatewayConfiguration
import Testing

/// SplitMix64: the same numbers for a seed on every machine.
private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite("A hostile configuration")
struct HostileConfigurationTests {
    @Test("never crashes the loader, whatever bytes are changed", arguments: 0..<16)
    func survivesMutations(seed: UInt64) throws {
        var generator = Generator(state: seed)
        let inserts = [
            "{", "}", "[", "]", "*", "&a ", "- ", ": ", "<<: ", "\"", "'", "|", "\t", "\0", "é", "${",
            "!!", "?",
        ]
        for name in Golden.names {
            var bytes = Array(try Golden.text("\(name).yaml").utf8)
            for round in 0..<12 {
                let position = bytes.isEmpty ? 0 : Int.random(in: 0...bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0:
                    bytes.removeSubrange(
                        position..<min(bytes.count, position + Int.random(in: 1...9, using: &generator)))
                case 1: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: position)
                case 2:
                    let insert = inserts.randomElement(using: &generator) ?? ""
                    bytes.insert(contentsOf: insert.utf8, at: position)
                default:
                    let end = Int.random(in: position...bytes.count, using: &generator)
                    bytes.insert(contentsOf: Array(bytes[position..<min(end, position + 200)]), at: 0)
                }
                let result = Fixture.load(bytes: bytes)
                #expect(
                    (result.settings == nil) == result.hasErrors, "seed \(seed), \(name), round \(round)")
            }
        }
    }

    @Test(
        "is taken or refused at every length it is cut to",
        arguments: ["02-load-balancing", "04-typos", "09-anchors"])
    func survivesCuts(name: String) throws {
        let bytes = Array(try Golden.text("\(name).yaml").utf8)
        for length in 0..<bytes.count {
            let result = Fixture.load(bytes: Array(bytes[..<length]))
            #expect((result.settings == nil) == result.hasErrors, "\(length) bytes")
        }
    }

    /// 10^12 values behind the alias `a12`.
    private static let bomb = (1...12).reduce(into: "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n") { text, level in
        text += "x-\(level): &a\(level)\n" + String(repeating: "  - *a\(level - 1)\n", count: 10)
    }

    @Test("cannot make aliases expand without end")
    func boundsAliases() throws {
        let diagnostic = try #require(Fixture.load(Self.bomb + Fixture.model()).diagnostics.first)
        #expect(diagnostic.message.contains("values, aliases expanded"))
    }

    @Test(
        "cannot hide aliases in keys",
        arguments: [
            "*a12 : x", "? *a12\n: x", "? [*a12]\n: x", "[*a12]: x", "{*a12 : 1}: x", "y: {*a12 : 1}",
            "- ? *a12",
            "y: [*a12 : 1]", "y: [x, *a12 : 1]", "y: {a: 1, *a12 : 1}", "y: {a: 1, ? *a12 : 1}",
            "!!map ? *a12\n: x",
            "? # comment\n  *a12\n: x", "!t *a12 : x", "y: { ? *a12 }", "y: [ ? *a12 ]",
            "y: [a, ? *a12 : 1]", "y: {*a12}", "y: {\n  *a12\n  }", "y: [{*a12, b: 1}]", "{a: *a12}: x",
            "y: { a: *a12 }",
            "y:\n  *a12", "*a12", "y: [\"a\"*a12]", "y: {\"a\":1,*a12:2}", "y: ['a', *a12 ]: x",
        ])
    func boundsKeys(line: String) throws {
        let result = Fixture.load(Self.bomb + line + "\n")
        #expect(result.settings == nil)
    }

    @Test("may use aliases where its users do")
    func takesAliases() {
        let text = """
            x-a: &a {api_key: k} # keys
            x-b: &b
              timeout: 5
            x-name: &name gpt-4o
            model_list:
              - model_name: *name
                litellm_params: {model: "openai/*b", api_key: "a ? *b"}
                model_info: {description: openai/*}
              - model_name: two*
                litellm_params:
                  <<: [*a, *b]   # both
                  model: openai/*
            litellm_settings: {fallbacks: [{*name : [two]}]}
            """
        let refused = Fixture.load(text)
        #expect(refused.diagnostics.map(\.position.line) == [7], "a key and an ambiguous text are refused")
        let mended = text.replacing("a ? *b", with: "a*b").replacing("{*name : [two]}", with: "{gpt-4o: [two-b]}")
        let result = Fixture.load(mended.replacing("\"openai/*b\"", with: "openai/b"))
        #expect(result.settings?.routing.deployments.map(\.model) == ["b", "*"])
        #expect(result.settings?.routing.deployments.last?.limits.totalTimeout == .seconds(5))
    }

    @Test("cannot nest without end", arguments: ["[", "{a: ", "- ", "? ", "[{a: ", "a:\n"])
    func boundsNesting(opener: String) {
        #expect(Fixture.load("x-deep: " + String(repeating: opener, count: 30_000)).hasErrors)
        #expect(Fixture.load(String(repeating: opener, count: 60)).hasErrors)
        let indented = (0..<300).map { String(repeating: " ", count: $0) + "a:" }.joined(
            separator: "\n")
        #expect(Fixture.load(indented).hasErrors)
    }

    @Test("is refused when it is too long, no text or no file")
    func boundsSize() {
        let long = Fixture.load(Fixture.model() + String(repeating: "# comment\n", count: 450_000))
        #expect(
            long.diagnostics.map(\.rendered) == [
                "config.yaml: error: the configuration cannot be read: it is longer than 4194304 bytes; "
                    + "check the path that --config names"
            ])
        #expect(
            Fixture.load(bytes: [0xFF, 0xFE, 0x00]).diagnostics.map(\.message) == [
                "the file is not UTF-8"
            ])
        let system = ConfigurationLoader(reader: SystemConfigurationReader())
        for path in ["/nonexistent/config.yaml", "/", "/dev/null"] {
            let result = system.load(file: path, environment: [:], overrides: CommandLineOverrides())
            #expect(result.settings == nil && result.files == [path])
        }
    }

    @Test("with thousands of faults gives a bounded list, and warnings of one kind once")
    func boundsDiagnostics() throws {
        let faults = Fixture.load((0..<5000).map { "key\($0): 1\n" }.joined())
        #expect(faults.diagnostics.count < 210)
        var models = "model_list:\n"
        for index in 0..<3000 {
            models +=
                "  - {model_name: m\(index % 7), litellm_params: {model: openai/m, api_key: k, rpd: \(index + 1)}}\n"
        }
        let result = Fixture.load(models)
        #expect(result.settings?.routing.deployments.count == 3000)
        #expect(result.diagnostics.count == 1)
        #expect(
            try #require(result.diagnostics.first).message.hasSuffix("(here and at 2999 more places)"))
    }
}

@Suite("Secrets")
struct SecretTests {
    /// Every place of a value in the golden files, one at a time, gets `planted`; no message may repeat it.
    private static func plant(_ planted: String, check: (LoadResult, String) -> Void) throws {
        let variables = Fixture.environment.merging(["PLANTED": "planted-by-environment"]) { $1 }
        for name in Golden.names {
            let lines = try Golden.text("\(name).yaml").split(
                separator: "\n", omittingEmptySubsequences: false)
            for index in lines.indices {
                for colon in lines[index].ranges(of: ": ") + lines[index].ranges(of: "- ") {
                    var changed = lines.map(String.init)
                    changed[index] = String(lines[index][..<colon.upperBound]) + planted
                    let result = Fixture.load(changed.joined(separator: "\n"), environment: variables)
                    check(result, "\(name):\(index + 1)")
                }
            }
        }
    }

    @Test("from the environment never appear in a message, wherever they are put")
    func fromEnvironmentAreNotRepeated() throws {
        for planted in ["os.environ/PLANTED", "\"x ${PLANTED}\"", "\"https://${PLANTED}/v1\""] {
            try Self.plant(planted) { result, place in
                for diagnostic in result.diagnostics {
                    #expect(!diagnostic.rendered.contains("planted-by-environment"), "\(place)")
                    #expect(!diagnostic.keyPath.contains("planted-by-environment"), "\(place)")
                }
            }
        }
    }

    @Test("that look like keys never appear in a message, wherever they are put")
    func thatLookLikeKeysAreNotRepeated() throws {
        for planted in ["sk-planted-1234567890", "{sk-planted-1: 2}", "https://u:sk-planted-1@h/x"] {
            try Self.plant(planted) { result, place in
                for diagnostic in result.diagnostics {
                    #expect(!diagnostic.rendered.contains("sk-planted"), "\(place): \(diagnostic.rendered)")
                    #expect(!diagnostic.keyPath.contains("sk-planted"), "\(place): \(diagnostic.keyPath)")
                }
            }
        }
    }

    @Test("of providers never appear in the description of settings")
    func areNotDescribed() throws {
        let settings = try #require(
            Fixture.load(try Golden.text("03-typical-production.yaml")).settings)
        #expect(!String(describing: settings).contains("planted"))
        #expect(!String(reflecting: settings).contains("planted"))
    }
}
