import GatewayControlPlane
import GatewayCore
import Testing

@Suite("Health of a pod")
struct HealthTests {
    let fixture = ControlFixture()

    @Test("is alive in LiteLLM's words", arguments: ["/livez", "/health/liveliness", "/health/liveness"])
    func liveness(path: String) async {
        for state in [Readiness.State.starting, .ready, .draining] {
            self.fixture.readiness.set(state)
            let answer = await self.fixture.get(path, key: nil)
            #expect(answer.status == 200 && answer.text == #""I'm alive!""#)
        }
    }

    @Test(
        "tells whether it wants calls",
        arguments: [
            (Readiness.State.starting, 503, "starting"), (.ready, 200, "connected"),
            (.degraded("the disk is slow"), 200, "degraded"), (.unfit("the store is away"), 503, "unfit"),
            (.draining, 503, "draining"),
        ])
    func readiness(state: Readiness.State, status: Int, text: String) async {
        let fixture = ControlFixture()
        fixture.readiness.set(state)
        for path in ["/readyz", "/health/readiness"] {
            let answer = await fixture.get(path, key: nil)
            #expect(answer.status == status && answer.json["status"] as? String == text)
            #expect(answer.json["db"] as? String == "connected")
        }
    }

    @Test("stays ready without its store, and says so")
    func storeAway() async {
        self.fixture.keyStore.setDown(true)
        self.fixture.ledger.setDown(true)
        self.fixture.journal.value.isStoreReachable = false
        let answer = await self.fixture.get("/readyz", key: nil)
        #expect(answer.status == 200)
        #expect(answer.json["status"] as? String == "healthy" && answer.json["db"] as? String == "Not connected")
    }

    @Test("never comes back from draining")
    func drainingIsFinal() {
        self.fixture.readiness.set(.draining)
        self.fixture.readiness.set(.ready)
        #expect(self.fixture.readiness.state == .draining && !self.fixture.readiness.acceptsCalls)
    }
}

@Suite("GET /metrics")
struct MetricsTests {
    static var snapshot: MetricsSnapshot {
        var call = CallMetrics(modelGroup: "gpt\"4\\o\n", provider: "openai", deploymentID: "d-1")
        call.attemptsByOutcome[Int(AttemptOutcome.finished.rawValue)] = 2
        call.attemptsByOutcome[Int(AttemptOutcome.timedOut.rawValue)] = 1
        call.duration.record(microseconds: 812_345)
        call.duration.record(microseconds: 900_000_000)
        call.firstByte.record(microseconds: 50)
        call.overhead.record(microseconds: 60)
        call.inputTokens = 100
        call.cachedInputTokens = 40
        call.outputTokens = 20
        call.cost = NanoUSD(rawValue: 1_250)
        var snapshot = MetricsSnapshot()
        snapshot.calls = [call]
        snapshot.responsesByStatus = [200: 7, 429: 2]
        snapshot.callsInFlight = 3
        snapshot.connectionsOpen = 5
        snapshot.upstreamConnectionsOpen = 2
        snapshot.upstreamConnectionsIdle = 1
        snapshot.callsWaiting = 4
        return snapshot
    }

    @Test("speaks Prometheus' text format")
    func format() async throws {
        let answer = await ControlFixture(snapshot: Self.snapshot).get("/metrics", key: nil)
        #expect(answer.response.contentType == "text/plain; version=0.0.4; charset=utf-8")
        var types: [String: String] = [:]
        var samples: Set<String> = []
        for line in answer.text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                #expect(types.updateValue(String(words[3]), forKey: String(words[2])) == nil, "\(line) twice")
            } else if !line.hasPrefix("#") {
                let cut = try #require(line.lastIndex(of: " "))
                #expect(Double(line[line.index(after: cut)...]) != nil, "\(line)")
                #expect(samples.insert(String(line[..<cut])).inserted, "\(line) twice")
                let name = String(line.prefix { $0 != "{" && $0 != " " })
                let family = ["_bucket", "_sum", "_count"].reduce(name) { name, suffix in
                    name.hasSuffix(suffix) && types[name] == nil ? String(name.dropLast(suffix.count)) : name
                }
                #expect(types[family] != nil, "\(name) has no family")
                #expect(types[family] != "counter" || name.hasSuffix("_total"))
            }
        }
    }

    @Test("counts buckets up, in seconds, and escapes labels")
    func histogram() async {
        let text = await ControlFixture(snapshot: Self.snapshot).get("/metrics", key: nil).text
        let labels = #"model_group="gpt\"4\\o\n",api_provider="openai",model_id="d-1""#
        for line in [
            #"litellm_llm_api_latency_metric_bucket{\#(labels),le="0.5"} 0"#,
            #"litellm_llm_api_latency_metric_bucket{\#(labels),le="1"} 1"#,
            #"litellm_llm_api_latency_metric_bucket{\#(labels),le="600"} 1"#,
            #"litellm_llm_api_latency_metric_bucket{\#(labels),le="+Inf"} 2"#,
            #"litellm_llm_api_latency_metric_sum{\#(labels)} 900.812345"#,
            #"litellm_llm_api_latency_metric_count{\#(labels)} 2"#,
            #"litellm_llm_api_time_to_first_token_metric_bucket{\#(labels),le="0.00005"} 1"#,
            #"litellm_overhead_latency_metric_bucket{\#(labels),le="0.0001"} 1"#,
            #"litellm_spend_metric_total{\#(labels)} 0.00000125"#,
            #"litellm_total_tokens_metric_total{\#(labels)} 120"#,
            #"martlet_attempts_total{\#(labels),outcome="timed_out"} 1"#,
            #"litellm_proxy_total_requests_metric_total{status_code="200"} 7"#,
            #"litellm_proxy_failed_requests_metric_total{exception_status="429"} 2"#, "litellm_in_flight_requests 3",
            "martlet_journal_bytes 4096", "martlet_ready 1",
        ] {
            #expect(text.contains(line + "\n"), "\(line)")
        }
    }
}
