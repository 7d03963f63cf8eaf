import GatewayControlPlane
import GatewayCore
import Testing

@Suite("POST /key/generate")
struct KeyGenerateTests {
    let fixture = ControlFixture()
    static let typeRefusals: [(String, String, String)] = [
        (#"{"models":"gpt-4o"}"#, "models", "list_type"), (#"{"models":[1]}"#, "models", "string_type"),
        (#"{"key_alias":5}"#, "key_alias", "string_type"), (#"{"metadata":[]}"#, "metadata", "dict_type"),
        (#"{"max_budget":"much"}"#, "max_budget", "float_type"),
        (#"{"max_budget":-1}"#, "max_budget", "greater_than_equal"),
        (#"{"max_budget":1e300}"#, "max_budget", "less_than"),
        (#"{"max_budget":1e999}"#, "max_budget", "float_type"),
        (#"{"max_budget":1e-12}"#, "max_budget", "greater_than_equal"),
        (#"{"max_budget":true}"#, "max_budget", "float_type"),
        (#"{"blocked":"yes"}"#, "blocked", "bool_type"), (#"{"rpm_limit":1.5}"#, "rpm_limit", "int_type"),
        (#"{"rpm_limit":-1}"#, "rpm_limit", "greater_than_equal"),
        (#"{"duration":"soon"}"#, "duration", "value_error"),
        (#"{"duration":"0d"}"#, "duration", "value_error"),
        (#"{"duration":"99999999999d"}"#, "duration", "value_error"),
        (#"{"duration":30}"#, "duration", "string_type"),
        (#"{"budget_duration":"often"}"#, "budget_duration", "value_error"),
        (#"{"budget_mode":"loose"}"#, "budget_mode", "literal_error"),
        (#"{"key_type":"root"}"#, "key_type", "literal_error"),
        (#"{"guardrails":{}}"#, "guardrails", "list_type"),
        (#"{"key_alias":"a\u0000b"}"#, "key_alias", "value_error"),
    ]

    @Test("answers with a secret that is in force, and stores its digest only")
    func makesKey() async throws {
        let answer = await self.fixture.post(
            "/key/generate", #"{"key_alias":"ci","models":["gpt-4o"],"max_budget":0.1}"#)
        #expect(answer.status == 200)
        let secret = try #require(answer.json["key"] as? String)
        #expect(secret.hasPrefix("sk-") && secret.utf8.count == 35)
        #expect(answer.json["token"] as? String == KeySecret.digest(of: secret).hex)
        #expect(answer.json["token_id"] as? String == KeySecret.digest(of: secret).hex)
        #expect(answer.json["key_name"] as? String == "sk-..." + secret.suffix(4))
        #expect(answer.text.contains(#""max_budget":0.1,"#))
        #expect(self.fixture.isInForce(secret))
        let stored = try await self.fixture.keyStore.key(digest: KeySecret.digest(of: secret))
        #expect(stored?.maxBudget == NanoUSD(rawValue: 100_000_000))
        #expect(stored.map { "\($0)".contains(secret) } == false)
        #expect(self.fixture.mutations.value == [[try #require(stored?.keyID)]])
    }

    @Test("accepts an empty body, and no two secrets are the same")
    func emptyBody() async throws {
        let (first, second) = (await self.fixture.post("/key/generate"), await self.fixture.post("/key/generate", "{}"))
        #expect(first.status == 200 && second.status == 200)
        #expect(first.json["key"] as? String != second.json["key"] as? String)
    }

    @Test("takes a secret of the caller's own")
    func customKey() async throws {
        #expect(try await self.fixture.makeKey(#"{"key":"sk-my-own-key"}"#) == "sk-my-own-key")
        #expect(self.fixture.isInForce("sk-my-own-key"))
        let again = await self.fixture.post("/key/generate", #"{"key":"sk-my-own-key"}"#)
        #expect(again.status == 400)
        #expect(!again.text.contains("sk-my-own-key"))
    }

    @Test(
        "refuses a secret that is none",
        arguments: ["my-own-key", "sk-1", "sk-with space", "sk-ünicode-key", "sk-line\\nbreak"])
    func badCustomKey(key: String) async {
        let answer = await self.fixture.post("/key/generate", #"{"key":"\#(key)"}"#)
        #expect(answer.status == 400)
        #expect(answer.error["param"] as? String == "key")
        #expect(!answer.text.contains(key))
    }

    @Test("never makes a key of the master key's secret")
    func masterKey() async {
        let answer = await self.fixture.post("/key/generate", #"{"key":"\#(ControlFixture.master)"}"#)
        #expect(answer.status == 400)
        #expect(self.fixture.directory.count == 1)
    }

    @Test(
        "reads LiteLLM's durations",
        arguments: [
            ("30s", "2026-11-22T12:00:30"), ("30m", "2026-11-22T12:30:00"), ("30h", "2026-11-23T18:00:00"),
            ("30d", "2026-12-22T12:00:00"), ("2w", "2026-12-06T12:00:00"), ("1mo", "2026-12-22T12:00:00"),
            ("3mo", "2027-02-22T12:00:00"),
        ])
    func durations(duration: String, expiry: String) async {
        let answer = await self.fixture.post("/key/generate", #"{"duration":"\#(duration)"}"#)
        #expect(answer.json["expires"] as? String == expiry + ".000000Z")
    }

    @Test("takes the last day of a shorter month")
    func monthEnd() async {
        self.fixture.clock.advance(by: .seconds(70 * 86_400))  // 2027-01-31
        let answer = await self.fixture.post("/key/generate", #"{"duration":"1mo"}"#)
        #expect(answer.json["expires"] as? String == "2027-02-28T12:00:00.000000Z")
    }

    @Test("keeps null, zero and absent budgets apart")
    func budgets() async throws {
        for (body, budget) in [
            (#"{"max_budget":0}"#, NanoUSD.zero), (#"{"max_budget":null}"#, nil), ("{}", nil),
            (#"{"max_budget":"2.5"}"#, NanoUSD(rawValue: 2_500_000_000)),
            (#"{"max_budget":1e-9}"#, NanoUSD(rawValue: 1)),
        ] as [(String, NanoUSD?)] {
            let secret = try await self.fixture.makeKey(body)
            let entry = try #require(self.fixture.directory.entry(digest: KeySecret.digest(of: secret)))
            #expect(entry.record.maxBudget == budget, "\(body)")
        }
    }

    @Test("refuses wrong types and bounds with LiteLLM's 422", arguments: typeRefusals)
    func wrongTypes(body: String, field: String, type: String) async throws {
        let answer = await self.fixture.post("/key/generate", body)
        #expect(answer.status == 422, "\(answer.text)")
        let problem = try #require(answer.problems.first)
        #expect((problem["loc"] as? [String])?.prefix(2) == ["body", field])
        #expect(problem["type"] as? String == type)
        #expect(self.fixture.directory.count == 1)
    }

    @Test("bounds every text, list and object")
    func bounds() async {
        let long = String(repeating: "x", count: 513)
        let large = String(repeating: "x", count: 65_536)
        let many = Array(repeating: "\"m\"", count: 1001).joined(separator: ",")
        let bodies: [String] = [
            "{\"key_alias\":\"\(long)\"}", "{\"user_id\":\"\(long)\"}", "{\"models\":[\"\(long)\"]}",
            "{\"models\":[\(many)]}",
            "{\"metadata\":{\"a\":\"\(large)\"}}", "{\"permissions\":{\"a\":\"\(large)\"}}",
        ]
        for body in bodies {
            let status = await self.fixture.post("/key/generate", body).status
            #expect(status == 422, "\(body.prefix(40))")
        }
        let huge = Array(repeating: UInt8(ascii: " "), count: (1 << 20) + 1)
        #expect(await self.fixture.send("POST", "/key/generate", body: huge).status == 413)
    }

    @Test("names what it stores without enforcing it, and keeps it as given")
    func unenforced() async throws {
        let body =
            #"{"rpm_limit":10,"tpm_limit":null,"aliases":{},"tags":["a"],"model_max_budget":{"m":0.10},"#
            + #""auto_rotate":true,"guardrails":["g"],"budget_mode":"strict","budget_duration":"1d"}"#
        let answer = await self.fixture.post("/key/generate", body)
        #expect(answer.status == 200)
        #expect(answer.warnings.count == 2)
        #expect(answer.warnings.contains { $0.hasPrefix("auto_rotate ") })
        #expect(answer.warnings.contains { $0.hasPrefix("guardrails ") })
        #expect(answer.text.contains(#""model_max_budget":{"m":0.10}"#))
        #expect(answer.text.contains(#""rpm_limit":10"#) && answer.text.contains(#""tags":["a"]"#))
    }

    @Test("names the field that a slip of the pen meant, and lets strangers pass with a warning")
    func unknownFields() async {
        let slip = await self.fixture.post("/key/generate", #"{"max_bugdet":1}"#)
        #expect(slip.status == 400)
        #expect((slip.error["message"] as? String)?.contains("\"max_budget\"") == true)
        let stranger = await self.fixture.post("/key/generate", #"{"favourite_colour":"blue"}"#)
        #expect(stranger.status == 200)
        #expect(stranger.warnings == ["favourite_colour is unknown and was ignored"])
    }

    @Test("refuses an alias that another key has")
    func aliasTaken() async throws {
        _ = try await self.fixture.makeKey(#"{"key_alias":"one"}"#)
        let answer = await self.fixture.post("/key/generate", #"{"key_alias":"one"}"#)
        #expect(answer.status == 400)
        #expect(answer.error["param"] as? String == "key_alias")
        #expect(self.fixture.directory.count == 2)
    }

    @Test("says 503 while the store is away, and puts nothing in force")
    func storeAway() async {
        self.fixture.keyStore.setDown(true)
        let answer = await self.fixture.post("/key/generate", #"{"key":"sk-never-made"}"#)
        #expect(answer.status == 503)
        #expect(answer.errorType == "no_db_connection")
        #expect(answer.header("retry-after") == "1")
        #expect(!self.fixture.isInForce("sk-never-made"))
        #expect(!answer.text.contains("the test took"))
    }

    @Test("puts a key in force whose insert took effect though the store's answer was lost")
    func lostAnswer() async {
        self.fixture.keyStore.fail(call: 1, .after)
        let answer = await self.fixture.post("/key/generate", #"{"key":"sk-half-known"}"#)
        #expect(answer.status == 503)
        #expect(self.fixture.isInForce("sk-half-known"))
    }
}
