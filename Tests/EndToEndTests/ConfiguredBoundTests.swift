import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// Budgets and limits of the whole proxy, of providers, deployments and tags; and what is told of them.
    @Suite("A bound of the configuration")
    struct ConfiguredBounds {
        private static let scripts: [String: UpstreamScript] = [
            "plain": .answer(), "spare": .answer(), "slow": .slowAnswer(milliseconds: 400),
        ]
        /// As in `Caps`: each call costs a little more than 1,100,000 nano-dollars, and at most about twice that.
        private static let padding =
            ",\"max_tokens\":20,\"metadata\":{\"pad\":\"\(String(repeating: "x", count: 2400))\"}"

        private static func message(_ response: RawHTTPResponse) -> String {
            response.openAIError?["message"] as? String ?? response.text
        }

        @Test("passes a deployment over when its budget is spent, and the call falls back")
        func deployment() throws {
            let scene = try Scene(Self.scripts) {
                $0.parameters["plain"] = ["max_budget: 0.003", "budget_duration: 1d"]
                $0.router.append("fallbacks: [{plain: [spare]}]")
            }
            defer { scene.end() }
            for _ in 0..<12 { #expect(try scene.gateway.chat(model: "plain", key: scene.key).status == 200) }
            let models = scene.upstream.calls.map(\.model)
            #expect((2...5).contains(models.filter { $0 == "plain" }.count), "\(models)")
            #expect(models.last == "spare")
            try scene.expectLedgerAgrees()
        }

        @Test("refuses in LiteLLM's words when no deployment of a provider is left")
        func provider() throws {
            let scene = try Scene(Self.scripts) {
                $0.router.append("provider_budget_config: {openai: {budget_limit: 0.003, time_period: 1d}}")
                $0.groups["spare"] = "plain"
            }
            defer { scene.end() }
            var refused: RawHTTPResponse?
            for _ in 0..<12 where refused == nil {
                let response = try scene.gateway.chat(model: "plain", key: scene.key)
                if response.status != 200 { refused = response }
            }
            let answer = try #require(refused)
            #expect(answer.status == 429)
            let message = Self.message(answer)
            #expect(
                message.hasPrefix("No deployments available - crossed budget: Exceeded budget for provider openai: "),
                "\(message)")
            #expect(message.contains("The first begins anew at 20"), "\(message)")
            #expect((1...86_400).contains(Int(answer.header("retry-after") ?? "") ?? 0))
            #expect((2...5).contains(scene.upstream.calls.count))
            // It holds over a restart.
            scene.gateway.kill()
            try scene.gateway.start()
            #expect(try scene.gateway.chat(model: "plain", key: scene.key).status == 429)
        }

        @Test("of a strict deployment is never passed by three pods together, and is used up")
        func fleet() throws {
            func configure(_ configuration: inout MartletProcessConfiguration) {
                configuration.parameters["plain"] = ["max_budget: 0.11"]
                configuration.martlet.append("budgets_are_strict: true")
            }
            let fleet = try FleetScene(Self.scripts, configure: configure)
            defer { fleet.end() }
            let (pods, padding) = (fleet.pods, Self.padding)
            let key = try pods[0].generateKey()
            let statuses = concurrently(9) { index in
                (0..<40).compactMap { _ in
                    try? pods[index % 3].chat(model: "plain", key: key, extra: padding).status
                }
            }.joined()
            #expect(Set(statuses) == [200, 429], "\(Set(statuses))")
            let served = statuses.filter { $0 == 200 }.count
            var spent = 0
            try waitUntil("all rows") {
                let rows = try pods[0].exportLedger()
                spent = rows.reduce(0) { $0 + $1.costNanos }
                return rows.count >= served
            }
            Figures.line("strict deployment, 3 pods: \(spent) of 110000000 spent, \(served) calls")
            #expect(spent <= 110_000_000)
            #expect(spent >= 110_000_000 * 93 / 100, "\(spent)")
        }

        @Test("limits the requests of a deployment where the check is on")
        func rate() throws {
            let scene = try Scene(Self.scripts) {
                $0.parameters["plain"] = ["rpm: 3"]
                $0.router.append("optional_pre_call_checks: [enforce_model_rate_limits]")
            }
            defer { scene.end() }
            // Two minutes at most are touched.
            let responses = try (0..<14).map { _ in try scene.gateway.chat(model: "plain", key: scene.key) }
            #expect((3...6).contains(responses.filter { $0.status == 200 }.count))
            let refused = try #require(responses.first { $0.status == 429 })
            #expect(Self.message(refused).hasPrefix("Model rate limit exceeded. RPM limit=3, current usage=3"))
        }

        @Test("limits the calls at one time of the whole proxy")
        func parallel() throws {
            let scene = try Scene(Self.scripts) { $0.general.append("global_max_parallel_requests: 2") }
            defer { scene.end() }
            let (gateway, key) = (scene.gateway, scene.key)
            for _ in 0..<2 {
                let statuses = concurrently(6) { _ in try? gateway.chat(model: "slow", key: key).status }
                #expect(statuses.filter { $0 == 200 }.count == 2, "\(statuses)")
                #expect(statuses.filter { $0 == 429 }.count == 4, "\(statuses)")
            }
        }

        @Test("refuses every key when the whole proxy's budget is spent")
        func proxy() throws {
            let scene = try Scene(Self.scripts) {
                $0.appendix = "litellm_settings: {max_budget: 0.003, budget_duration: 30d}\n"
            }
            defer { scene.end() }
            let other = try scene.gateway.generateKey()
            var refused: RawHTTPResponse?
            for index in 0..<12 where refused == nil {
                let response = try scene.gateway.chat(model: "plain", key: index % 2 == 0 ? scene.key : other)
                if response.status != 200 { refused = response }
            }
            let answer = try #require(refused)
            #expect(answer.status == 422)
            #expect(Self.message(answer).hasPrefix("Budget has been exceeded! Current cost: 0.00"), "\(answer.text)")
            #expect(answer.openAIError?["type"] as? String == "budget_exceeded")
        }

        @Test("that is soft is told of once, and refuses nothing")
        func soft() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"soft_budget\":0.003}")
            for _ in 0..<8 { #expect(try scene.gateway.chat(model: "plain", key: key).status == 200) }
            let sample = "martlet_soft_budgets_passed_total{subject=\"key\"} "
            func metrics() throws -> String { try scene.gateway.request("GET", "/metrics").text }
            try waitUntil("the passing to be counted") { try metrics().contains(sample) }
            for _ in 0..<4 { #expect(try scene.gateway.chat(model: "plain", key: key).status == 200) }
            #expect(try metrics().contains(sample + "1\n"))
        }

        @Test("of a tag binds the calls that name it, in a header or in the body")
        func tags() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let made = try scene.gateway.request(
                "POST", "/tag/new", key: MartletProcess.masterKey, body: "{\"name\":\"job\",\"rpm_limit\":0}")
            #expect(made.status == 200, "\(made.text)")
            #expect(try scene.gateway.chat(model: "plain", key: scene.key).status == 200)
            let inBody = try scene.gateway.chat(
                model: "plain", key: scene.key, extra: ",\"metadata\":{\"tags\":[\"job\"]}")
            #expect(inBody.status == 429)
            #expect(Self.message(inBody).hasPrefix("Rate limit exceeded for tag: job."))
            let inHeader = try scene.gateway.request(
                "POST", "/v1/chat/completions", key: scene.key, headers: ["X-LiteLLM-Tags: other, job"],
                body: "{\"model\":\"plain\",\"messages\":[]}")
            #expect(inHeader.status == 429, "\(inHeader.text)")
        }

        @Test("that is strict shortens an answer to what is left, where that is allowed, and says so")
        func clamp() throws {
            let scene = try Scene(Self.scripts) { $0.martlet.append("clamp_output_tokens_min: 50") }
            defer { scene.end() }
            let key = try scene.gateway.generateKey("{\"max_budget\":0.01,\"budget_mode\":\"strict\"}")
            let response = try scene.gateway.chat(model: "plain", key: key, extra: ",\"max_tokens\":100000")
            #expect(response.status == 200, "\(response.text)")
            // 2,000 nano-dollars a token.
            let clamped = Int(response.header("x-martlet-clamped-max-tokens") ?? "") ?? 0
            #expect((4000..<5000).contains(clamped), "\(clamped)")
            let body = String(decoding: try #require(scene.upstream.calls.first).body, as: UTF8.self)
            #expect(body.contains("\"max_tokens\":\(clamped)"), "\(body)")
            // Nothing is said where nothing was changed.
            let whole = try scene.gateway.chat(model: "plain", key: key, extra: ",\"max_tokens\":60")
            #expect(whole.status == 200 && whole.header("x-martlet-clamped-max-tokens") == nil)
        }

        @Test("is explained for a call that is not made")
        func dryRun() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            let key = try scene.gateway.generateKey(
                "{\"max_budget\":0.000001,\"budget_mode\":\"strict\",\"rpm_limit\":9}")
            let answer = try scene.gateway.request(
                "POST", "/v1/chat/completions", key: key, headers: ["X-Martlet-Dry-Run: true"],
                body: "{\"model\":\"plain\",\"max_tokens\":100,\"messages\":[]}")
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json?["allowed"] as? Bool == false)
            let checks = answer.json?["checks"] as? [[String: Any]] ?? []
            let budget = checks.first { $0["type"] as? String == "budget" }
            #expect((budget?["reserves"] as? Double ?? 0) > 0.0002, "\(answer.text)")
            #expect(scene.upstream.calls.isEmpty)
        }
    }
}
