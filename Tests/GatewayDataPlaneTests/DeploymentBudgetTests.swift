import GatewayAdmission
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A deployment with a budget", .serialized)
struct DeploymentBudgetTests {
    private static let own = Subject(.deployment, "bound")
    private static let provider = Subject(.provider, "openai")
    /// What an answer of `Wire.completion` costs, and what a call is expected to: 4 tokens in, 100 out.
    private static let cost: Int64 = 114_000
    private static let expected: Int64 = 204_000

    /// `bound` and `free` in one group.
    private static func pair(
        _ escrow: HandEscrow, _ terms: [EscrowTerms]
    ) -> @Sendable (inout GatewaySetup, Int) -> Void {
        { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, id: "bound")
            setup.add("chat", port: port, id: "free")
            setup.terms["bound"] = terms
            setup.escrow = escrow.registry
        }
    }

    /// `bound` alone.
    private static func alone(
        _ escrow: HandEscrow, _ terms: [EscrowTerms]
    ) -> @Sendable (inout GatewaySetup, Int) -> Void {
        { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, id: "bound")
            setup.terms["bound"] = terms
            setup.escrow = escrow.registry
        }
    }

    @Test("is passed over when it is spent, and used while it is not")
    func passedOver() async throws {
        let escrow = HandEscrow()
        let terms = HandEscrow.budget(Self.own, 10 * Self.expected)
        escrow.grant(2 * Self.expected, of: terms)
        try await withGateway(Self.pair(escrow, [terms])) { gateway, provider in
            var connection: ProviderConnection?
            for _ in 0..<40 {
                let client = try gateway.call()
                let current = try connection ?? provider.accept()
                connection = current
                _ = try current.request()
                try current.answer(Wire.completion())
                #expect(try client.response().status == 200)
            }
            let rows = try gateway.rows()
            let used = rows.filter { $0.route.deploymentID == "bound" }
            // The rest, which is less than a call is expected to cost, goes to one more.
            #expect((1...4).contains(used.count), "\(used.count)")
            #expect(escrow.pool(terms).current.consumed == Int64(used.count) * Self.cost)
            #expect(escrow.isAtRest(terms))
        }
    }

    @Test("and no other left is refused in LiteLLM's words, with the time of the reset")
    func refused() async throws {
        let escrow = HandEscrow()
        let budget = HandEscrow.budget(Self.own, 1_000_000_000)
        let ofProvider = HandEscrow.budget(Self.provider, 2_000_000_000)
        escrow.grant(0, of: budget)
        escrow.grant(5_000_000, of: ofProvider)
        try await withGateway(Self.alone(escrow, [budget, ofProvider])) { gateway, _ in
            let answer = try gateway.call().response()
            #expect(answer.status == 429)
            let message = answer.openAIError?["message"] as? String ?? ""
            #expect(
                message.hasPrefix(
                    "No deployments available - crossed budget: Exceeded budget for deployment model_name: chat, "
                        + "litellm_params.model: up-chat, model_id: bound: 1 >= 1"), "\(message)")
            #expect(message.contains("begins anew at"), "\(message)")
            #expect((1...86_400).contains(Int(answer.header("retry-after") ?? "") ?? 0))
            #expect(gateway.settled == 0)
            #expect(escrow.isAtRest(ofProvider))
        }
    }

    @Test("falls back to another group when it is spent")
    func fallsBack() async throws {
        let escrow = HandEscrow()
        let terms = HandEscrow.budget(Self.provider, 1_000_000_000, label: "")
        escrow.grant(0, of: terms)
        try await withGateway { setup, port in
            Self.alone(escrow, [terms])(&setup, port)
            setup.add("other", port: port, id: "other")
            setup.fallbacks = [("chat", ["other"])]
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            #expect(try connection.request().json["model"] as? String == "up-other")
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            #expect(try gateway.rows().map(\.route.deploymentID) == ["other"])
        }
    }

    @Test("that is strict is never passed by calls at one time")
    func strict() async throws {
        let escrow = HandEscrow()
        let terms = HandEscrow.budget(Self.own, 1_000_000_000, .strict)
        let body = Wire.chat(extra: ",\"max_tokens\":50")
        // A token for each byte, and 50 out.
        let most = Int64(body.utf8.count) * 1000 + 50 * 2000
        // Two calls, and no third after they are settled either: a request may be read late on a busy machine.
        escrow.grant(2 * most, of: terms)
        #expect(2 * (most - Self.cost) < most)
        try await withGateway(Self.alone(escrow, [terms])) { gateway, provider in
            let clients = try (0..<5).map { _ in try gateway.call(body) }
            let connections = try (0..<2).map { _ in try provider.accept() }
            for connection in connections { _ = try connection.request() }
            gateway.turnLoop()
            #expect(escrow.pool(terms).current.reserved == 2 * most)
            #expect(try provider.acceptNow() == nil)
            for connection in connections { try connection.answer(Wire.completion()) }
            let statuses = try clients.map { try $0.response().status }
            #expect(statuses.filter { $0 == 200 }.count == 2 && statuses.filter { $0 == 429 }.count == 3, "\(statuses)")
            #expect(escrow.pool(terms).current.consumed == 2 * Self.cost)
            #expect(escrow.isAtRest(terms))
        }
    }

    @Test("counts each attempt where it was made, and holds nothing of a failed one")
    func retries() async throws {
        let escrow = HandEscrow()
        let budget = HandEscrow.budget(Self.own, 1_000_000_000)
        let rate = HandEscrow.rate(Self.own, 100)
        escrow.grant(1_000_000_000, of: budget)
        escrow.grant(100, of: rate)
        try await withGateway { setup, port in
            Self.alone(escrow, [rate, budget])(&setup, port)
            setup.retriesMax = 1
        } _: { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500, headers: ["Retry-After: 0"])
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            #expect(try gateway.rows().count == 2)
            #expect(escrow.pool(budget).current.consumed == Self.cost)
            #expect(escrow.pool(rate).current.consumed == 2)
            #expect(escrow.isAtRest(budget) && escrow.isAtRest(rate))
        }
    }

    @Test("of requests is used up, and the text says which")
    func requests() async throws {
        let escrow = HandEscrow()
        let rate = HandEscrow.rate(Self.own, 3)
        escrow.grant(1, of: rate)
        try await withGateway(Self.alone(escrow, [rate])) { gateway, provider in
            let client = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            let refused = try gateway.call().response()
            #expect(refused.status == 429)
            let message = refused.openAIError?["message"] as? String ?? ""
            #expect(message.hasPrefix("Model rate limit exceeded. RPM limit=3, current usage=3"), "\(message)")
        }
    }

    @Test("gives back what a call holds that never gets a place, or whose caller leaves")
    func leaves() async throws {
        let escrow = HandEscrow()
        let terms = HandEscrow.budget(Self.own, 1_000_000_000)
        escrow.grant(1_000_000_000, of: terms)
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, id: "bound", inFlightMax: 1, waitingMax: 1)
            setup.terms["bound"] = [terms]
            setup.escrow = escrow.registry
        } _: { gateway, provider in
            let first = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            let second = try gateway.call()
            try waitUntil("the second to wait") { gateway.snapshot.places == (1, 1) }
            #expect(try gateway.call().response().status == 429)
            #expect(escrow.pool(terms).current.calls == 2)
            second.close()
            try waitUntil("the second to be gone") { escrow.pool(terms).current.calls == 1 }
            try connection.answer(Wire.completion())
            #expect(try first.response().status == 200)
            #expect(escrow.isAtRest(terms) && escrow.pool(terms).current.consumed == Self.cost)
        }
    }

    @Test("that the store has not spoken of yet lets the call wait for its answer")
    func waits() async throws {
        let escrow = HandEscrow()
        let terms = HandEscrow.budget(Self.own, 1_000_000_000)
        try await withGateway(Self.alone(escrow, [terms])) { gateway, provider in
            let client = try gateway.call()
            gateway.turnLoop()
            #expect(try provider.acceptNow() == nil)
            escrow.grant(1_000_000_000, of: terms)
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            #expect(escrow.isAtRest(terms))
        }
    }
}
