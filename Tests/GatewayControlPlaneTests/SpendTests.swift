import GatewayControlPlane
import GatewayCore
import TestSupport
import Testing

@Suite("What is told of spend")
struct SpendTests {
    let fixture = ControlFixture()

    @Test("is a row per attempt, newest first, in LiteLLM's shape")
    func logs() async throws {
        let secret = try await self.fixture.makeKey(#"{"user_id":"u","team_id":"t"}"#)
        try self.fixture.spend(1_000, by: secret, number: 1)
        try self.fixture.spend(2_000, by: secret, number: 2)
        let answer = await self.fixture.get("/spend/logs")
        #expect(answer.status == 200 && answer.list.count == 2)
        let row = try #require(answer.list.first)
        #expect(row["request_id"] as? String == RequestID.sample(2).text)
        #expect(row["api_key"] as? String == KeySecret.digest(of: secret).hex)
        #expect(row["status"] as? String == "success" && row["call_type"] as? String == "acompletion")
        #expect(row["user"] as? String == "u" && row["team_id"] as? String == "t")
        #expect(answer.text.contains(#""spend":0.000002,"#))
    }

    @Test("is filtered by key, user, request and days")
    func filters() async throws {
        let first = try await self.fixture.makeKey(#"{"user_id":"u1"}"#)
        let second = try await self.fixture.makeKey(#"{"user_id":"u2"}"#)
        try self.fixture.spend(1, by: first, number: 1)
        try self.fixture.spend(1, by: second, number: 2)
        for (query, count) in [
            ("api_key=\(first)", 1), ("api_key=\(KeySecret.digest(of: first).hex)", 1), ("user_id=u2", 1),
            ("request_id=\(RequestID.sample(2).text)", 1), ("request_id=nonsense", 0), ("api_key=sk-unknown", 0),
            ("start_date=2026-11-22", 2), ("start_date=2026-11-23", 0), ("end_date=2026-11-22", 2),
            ("end_date=2026-11-21", 0), ("start_date=2026-11-22&end_date=2026-11-22&summarize=false", 2),
            ("page_size=1", 1), ("page_size=1&page=2", 1), ("page_size=1&page=3", 0),
        ] {
            let answer = await self.fixture.get("/spend/logs?" + query)
            #expect(answer.status == 200 && answer.list.count == count, "\(query)")
        }
    }

    @Test("refuses days and pages that there are not")
    func badQueries() async {
        for query in [
            "start_date=yesterday", "start_date=2026-02-30", "end_date=2026-13-01", "start_date=26-11-22",
            "start_date=2026-11-2%2B", "page=10000&page_size=10000",
        ] {
            #expect(await self.fixture.get("/spend/logs?" + query).status == 400, "\(query)")
        }
        #expect(await self.fixture.get("/spend/logs?page_size=10001").status == 422)
    }

    @Test("is each key's own, not others'")
    func ownLogs() async throws {
        let mine = try await self.fixture.makeKey()
        let other = try await self.fixture.makeKey()
        try self.fixture.spend(1, by: mine, number: 1)
        try self.fixture.spend(1, by: other, number: 2)
        let answer = await self.fixture.get("/spend/logs", key: mine)
        #expect(answer.list.map { $0["api_key"] as? String } == [KeySecret.digest(of: mine).hex])
        #expect(await self.fixture.get("/spend/logs?request_id=\(RequestID.sample(2).text)", key: mine).list.isEmpty)
        #expect(await self.fixture.get("/spend/logs?api_key=\(other)", key: mine).status == 403)
        let summary = await self.fixture.get("/spend/logs?start_date=2026-11-22&end_date=2026-11-22", key: mine)
        #expect(!summary.text.contains(KeySecret.digest(of: other).hex))
    }

    @Test("sums by day, key, user and model")
    func summary() async throws {
        let secret = try await self.fixture.makeKey(#"{"user_id":"u"}"#)
        for number in 1...3 { try self.fixture.spend(500, by: secret, number: number) }
        let answer = await self.fixture.get("/spend/logs?start_date=2026-11-01&end_date=2026-11-30")
        #expect(
            answer.text
                == #"[{"users":{"u":0.0000015},"models":{"gpt-sample-1":0.0000015},"spend":0.0000015,"#
                + #""\#(KeySecret.digest(of: secret).hex)":0.0000015,"startTime":"2026-11-22"}]"#)
    }

    @Test("is summed over keys and in all")
    func totals() async throws {
        let little = try await self.fixture.makeKey(#"{"key_alias":"little"}"#)
        let nothing = try await self.fixture.makeKey(#"{"key_alias":"nothing"}"#)
        let much = try await self.fixture.makeKey(#"{"key_alias":"much"}"#)
        try self.fixture.spend(1_000, by: little, number: 1)
        try self.fixture.spend(500_000_000, by: much, number: 2)
        #expect(await self.fixture.get("/global/spend").text == #"{"spend":0.500001,"max_budget":null}"#)
        let keys = await self.fixture.get("/spend/keys")
        #expect(keys.list.map { $0["key_alias"] as? String } == ["much", "little", "nothing"])
        let sums = await self.fixture.get("/global/spend/keys?limit=2")
        #expect(sums.list.map { $0["key_alias"] as? String } == ["much", "little"])
        #expect(sums.text.contains(#""total_spend":0.5}"#))
        #expect(self.fixture.isInForce(nothing))
    }

    @Test("survives rows with any values")
    func extremes() async throws {
        let seed: UInt64 = 20_261_122
        var generator = SeededGenerator(seed: seed)
        let events = (1...300).map {
            UsageEvent.random($0, payer: .sample($0), route: .sample($0), using: &generator)
        }
        self.fixture.ledger.add(events)
        let answer = await self.fixture.get("/spend/logs")
        #expect(answer.list.count == 300, "seed \(seed)")
        let summary = await self.fixture.get("/spend/logs?start_date=1970-01-01&end_date=9999-12-31")
        #expect(summary.status == 200, "seed \(seed)")
    }

    @Test("is not guessed while the ledger is away", arguments: ["/spend/logs", "/global/spend", "/spend/keys"])
    func ledgerAway(path: String) async {
        self.fixture.ledger.setDown(true)
        let answer = await self.fixture.get(path)
        #expect(answer.status == 503 && answer.header("retry-after") == "1")
    }
}
