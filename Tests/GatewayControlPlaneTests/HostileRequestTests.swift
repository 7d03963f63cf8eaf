import GatewayControlPlane
import GatewayCore
import TestSupport
import Testing

@Suite("A hostile management request")
struct HostileRequestTests {
    static let posts = [
        "/key/generate", "/key/update", "/key/delete", "/key/block", "/key/unblock", "/key/regenerate", "/v2/key/info",
        "/key/sk-x/regenerate",
    ]
    static let bodies: [String] = [
        "{", "[", "\"", "nul", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "{,}", "\u{FEFF}{}", "{\"key\":01}",
        "{\"key\":+1}", "{\"key\":.5}", "{\"key\":1.}", "{\"key\":1e}", "{\"key\":\"\\x\"}", "{\"key\":\"\\u12\"}",
        "{\"key\":\"\\ud800\"}", "{\"key\":\"\\ud800\\u0041\"}", "{\"key\":\"\\udc00\"}", "{\"key\":\"a\nb\"}",
        "{\"key\":\"sk-aaaaaaaa\",\"key\":\"sk-bbbbbbbb\"}", "{\"metadata\":{\"a\":1,\"a\":2}}", "{\"key\":NaN}",
        "{\"max_budget\":Infinity}", "{\"max_budget\":-Infinity}",
        String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 100_000),
        "{\"metadata\":" + String(repeating: "[", count: 80) + String(repeating: "]", count: 80) + "}",
        "{\"max_budget\":" + String(repeating: "9", count: 100_000) + "}",
        "{\"rpm_limit\":" + String(repeating: "9", count: 300) + "}", "{\"max_budget\":1e-99999999999}",
        "{\"rpm_limit\":1e400}", "{\"rpm_limit\":-0.0e5}",
    ]

    @Test("is refused with a 4xx that says where, or taken as what it is", arguments: posts)
    func hostileBodies(path: String) async {
        let fixture = ControlFixture()
        for body in Self.bodies + ["null", "true", "1", "\"text\"", "[]", "[{}]"] {
            let answer = await fixture.post(path, body)
            #expect((200..<500).contains(answer.status), "\(path) \(body.prefix(60)) \(answer.text)")
            #expect(answer.text.utf8.count < 10_000)
        }
        #expect(await fixture.post("/key/generate", "{}").status == 200)
    }

    @Test("is never half understood", arguments: bodies.prefix(30))
    func malformed(body: String) async {
        let answer = await ControlFixture().post("/key/generate", body)
        #expect(answer.status == 400, "\(answer.text)")
        #expect(answer.error["param"] as? String == "request_body" && answer.errorType == "invalid_request_error")
        #expect((answer.error["message"] as? String)?.contains("at byte") == true)
    }

    @Test("with any bytes changed or cut is answered and breaks nothing")
    func mutations() async {
        let seed: UInt64 = 99
        var generator = SeededGenerator(seed: seed)
        let fixture = ControlFixture()
        let whole = Array(
            #"{"key_alias":"ä\ud83d\ude00\n","max_budget":1.5e-3,"metadata":{"x":[null,true,{}]}}"#
                .utf8)
        for cut in whole.indices {
            let answer = await fixture.send("POST", "/key/generate", body: Array(whole[..<cut]))
            #expect(answer.status == (cut == 0 ? 200 : 400), "cut at \(cut)")
        }
        for round in 0..<2_000 {
            var body = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: body.indices, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: body[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: body.insert(UInt8.random(in: 0...255, using: &generator), at: index)
                default: body.remove(at: index)
                }
            }
            let answer = await fixture.send("POST", "/key/generate", body: body)
            #expect([200, 400, 422].contains(answer.status), "seed \(seed) round \(round): \(answer.text)")
        }
    }

    @Test("with a wrong type in any field is a 422, never a 5xx")
    func everyFieldEveryType() async {
        let fixture = ControlFixture()
        let fields = [
            "key", "new_key", "grace_period", "new_master_key", "key_alias", "duration", "models", "max_budget",
            "budget_duration", "budget_mode", "blocked", "user_id", "team_id", "metadata", "key_type", "spend", "tags",
            "config", "rpm_limit", "soft_budget", "temp_budget_increase", "budget_limits", "aliases", "auto_rotate",
        ]
        for field in fields {
            for value in ["null", "true", "-1", "1e400", "\"\"", "\"x\"", "[]", "[[]]", "{}", "{\"a\":{}}"] {
                let answer = await fixture.post("/key/generate", #"{"\#(field)":\#(value)}"#)
                #expect([200, 400, 422].contains(answer.status), "\(field) \(value): \(answer.text)")
            }
        }
    }

    @Test("with a hostile path or query is answered in the 2xx to 4xx")
    func hostileTargets() async {
        let fixture = ControlFixture()
        let long = String(repeating: "a", count: 20_000)
        for target in [
            "/v1/models/\(long)", "/v1/models/%00", "/v1/models/%0d%0aset-cookie:x", "/key/%2e%2e/regenerate",
            "/key/info?key=\(long)", "/key/info?key=%00", "/key/info?" + String(repeating: "a=b&", count: 300),
            "/key/list?page=99999999999999999999", "/key/list?page=-1", "/key/list?page=1000000&size=1000",
            "/spend/logs?=",
            "/spend/logs?&&&", "/spend/logs?start_date=\(long)", "", "*", "http://x/",
        ] {
            let answer = await fixture.get(target)
            #expect((200..<500).contains(answer.status), "\(target.prefix(60))")
            #expect(answer.text.utf8.count < 2_000)
            for header in answer.response.headers {
                #expect(header.value.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
            }
        }
    }
}

@Suite("A secret")
struct SecretLeakTests {
    @Test("appears in no error, log or stored record, wherever it is put")
    func neverLeaks() async throws {
        let secret = "sk-planted-0123456789abcdef"
        let fixture = ControlFixture()
        #expect(await fixture.post("/key/generate", #"{"key":"\#(secret)","key_alias":"a"}"#).status == 200)
        var refusals: [Answer] = []
        for path in ["/key/generate", "/key/update", "/key/block", "/key/regenerate", "/key/delete", "/v2/key/info"] {
            for body in [
                #"{"\#(secret)":1}"#, #"{"key":"\#(secret)","models":"\#(secret)"}"#, #"{"key":["\#(secret)"]}"#,
                #"{"key":"\#(secret)" "\#(secret)"}"#, #"{"key":"\#(secret)x","duration":"\#(secret)"}"#,
                #"{"key":"\#(secret)x","new_key":"\#(secret)"}"#, #"{"keys":["\#(secret)x"]}"#,
                #"{"key":"\#(secret)","max_budget":"\#(secret)"}"#, #"{"key":"\#(secret)\u0001"}"#,
            ] {
                refusals.append(await fixture.post(path, body))
            }
        }
        fixture.keyStore.setDown(true)
        for target in ["/key/info?key=\(secret)x", "/spend/logs?start_date=\(secret)", "/key/list?page=\(secret)"] {
            refusals.append(await fixture.get(target))
        }
        refusals.append(await fixture.get("/v1/models", key: secret + "y"))
        refusals.append(await fixture.post("/key/\(secret)/regenerate", "{}"))
        for answer in refusals where answer.status >= 400 || !answer.warnings.isEmpty {
            #expect(!answer.text.contains("planted"), "\(answer.text)")
            #expect(answer.response.headers.allSatisfy { !$0.value.contains("planted") })
        }
        #expect(refusals.filter { $0.status >= 400 }.count > 40)
        fixture.keyStore.setDown(false)
        #expect(!fixture.log.text.contains("planted"))
        #expect(fixture.log.text.contains("Virtual key changed"))
        let stored = try await fixture.keyStore.key(digest: KeySecret.digest(of: secret))
        #expect(stored.map { "\($0)".contains("planted") } == false)
    }
}
