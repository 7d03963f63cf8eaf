import Foundation
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A search of the web", .serialized)
struct WebSearchCostTests {
    /// The cost in nano-dollars of a call that is answered so, and the same without the searches.
    private static func costs(
        _ provider: String, _ model: String, path: String, body: String, answer: String, plain: String,
        events: Bool = false
    ) async throws -> (searched: Int64, plain: Int64) {
        let found = Locked<[Int64]>([])
        try await withProvider(provider) {
            $0.usesCatalogue = true
            $0.deployments[0].model = model
        } _: { gateway, upstream in
            for text in [answer, plain] {
                let client = try RawHTTPClient(port: gateway.port)
                try client.send(
                    RawHTTPClient.bytes(
                        "POST", path, headers: ["Authorization: Bearer \(TestGateway.key)"], body: body))
                let connection = try upstream.accept()
                _ = try connection.request()
                if events {
                    try connection.startStream()
                    try connection.chunk(text)
                    try connection.send("0\r\n\r\n")
                    connection.close()
                } else {
                    try connection.answer(text, headers: ["Connection: close"])
                }
                #expect(try client.response().status == 200)
            }
            let rows = try gateway.rows(2)
            #expect(rows.allSatisfy { $0.flags == .measured })
            found.change { $0 = rows.map(\.cost.rawValue) }
        }
        return (found.value[0], found.value[1])
    }

    @Test("is charged by Anthropic's count, in streams too")
    func anthropic() async throws {
        let plain = Wire.message()
        let counted = "\"output_tokens\":7,\"server_tool_use\":{\"web_search_requests\":3}"
        let whole = try await Self.costs(
            "anthropic", "claude-sonnet-4-5", path: "/v1/chat/completions", body: Wire.chat(),
            answer: plain.replacingOccurrences(of: "\"output_tokens\":7", with: counted), plain: plain)
        #expect(whole.searched - whole.plain == 30_000_000 && whole.plain > 0)
        let events = Wire.messageEvents.joined()
        let stream = try await Self.costs(
            "anthropic", "claude-sonnet-4-5", path: "/v1/messages", body: Wire.messages(stream: true),
            answer: events.replacingOccurrences(of: "\"output_tokens\":7", with: counted), plain: events, events: true)
        #expect(stream.searched - stream.plain == 30_000_000)
    }

    @Test("is charged by the items of a response; opening a page is not")
    func responses() async throws {
        let items =
            "\"output\":[{\"type\":\"web_search_call\",\"id\":\"ws_1\",\"status\":\"completed\",\"action\":{\"type\":"
            + "\"search\",\"query\":\"q\"}},{\"type\":\"web_search_call\",\"id\":\"ws_2\",\"action\":{\"type\":"
            + "\"open_page\"}},{\"type\":\"web_search_call\",\"id\":\"ws_3\"},"
        let plain = Wire.response()
        let searched = plain.replacingOccurrences(of: "\"output\":[", with: items)
        let whole = try await Self.costs(
            "openai", "gpt-4.1", path: "/v1/responses", body: Wire.responses(), answer: searched, plain: plain)
        #expect(whole.searched - whole.plain == 50_000_000, "\(whole)")
        func events(_ items: [String], _ response: String) -> String {
            let head = Wire.event("response.created", "\"response\":" + Wire.response("", status: "in_progress"))
            let done = items.enumerated().map {
                Wire.event("response.output_item.done", "\"output_index\":\($0.offset),\"item\":\($0.element)")
            }
            return head + done.joined() + Wire.event("response.completed", "\"response\":" + response)
        }
        let stream = try await Self.costs(
            "openai", "gpt-4.1", path: "/v1/responses", body: Wire.responses(extra: ",\"stream\":true"),
            answer: events(["{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}}"], searched),
            plain: events([], plain), events: true)
        #expect(stream.searched - stream.plain == 25_000_000, "\(stream)")
    }

    @Test("is charged by the request or by the query, as Google's models have it")
    func gemini() async throws {
        let plain = Wire.candidate()
        let grounded = plain.replacingOccurrences(
            of: "\"index\":0", with: "\"groundingMetadata\":{\"webSearchQueries\":[\"a\",\"b\"]},\"index\":0")
        for (model, cost) in [("gemini-2.5-flash", Int64(35_000_000)), ("gemini-3-flash-preview", 28_000_000)] {
            let whole = try await Self.costs(
                "gemini", model, path: "/v1/chat/completions", body: Wire.chat(), answer: grounded, plain: plain)
            #expect(whole.searched - whole.plain == cost, "\(model) \(whole)")
            let stream = try await Self.costs(
                "gemini", model, path: "/v1/chat/completions", body: Wire.chat(stream: true),
                answer: "data: \(grounded)\n\n", plain: "data: \(plain)\n\n", events: true)
            #expect(stream.searched - stream.plain == cost, "\(model) \(stream)")
        }
    }

    @Test("is charged for each answer of models that search always")
    func always() async throws {
        let costs = try await Self.costs(
            "openai", "gpt-4o-search-preview", path: "/v1/chat/completions", body: Wire.chat(),
            answer: Wire.completion(), plain: Wire.completion())
        // 100 tokens in and 7 out at 2.5 and 10 dollars a million, and 0.025 dollars for the search.
        #expect(costs.searched == costs.plain && costs.plain == 25_000_000 + 250_000 + 70_000, "\(costs)")
    }

    /// What a strict budget holds for calls of these bodies while they run, in nano-dollars.
    private static func held(
        _ provider: String, _ model: String, path: String, bodies: [String], answer: String
    ) async throws -> [Int64] {
        let escrow = HandEscrow()
        let terms = HandEscrow.budget(Subject(.deployment, "bound"), 1_000_000_000_000, .strict)
        escrow.grant(500_000_000_000, of: terms)
        let found = Locked<[Int64]>([])
        try await withProvider(provider) {
            $0.usesCatalogue = true
            $0.deployments[0].model = model
            $0.deployments[0].deploymentID = "bound"
            $0.terms["bound"] = [terms]
            $0.escrow = escrow.registry
        } _: { gateway, upstream in
            for body in bodies {
                let client = try RawHTTPClient(port: gateway.port)
                try client.send(
                    RawHTTPClient.bytes(
                        "POST", path, headers: ["Authorization: Bearer \(TestGateway.key)"], body: body))
                let connection = try upstream.accept()
                _ = try connection.request()
                found.change { $0.append(escrow.pool(terms).current.reserved) }
                try connection.answer(answer, headers: ["Connection: close"])
                #expect(try client.response().status == 200)
            }
            _ = try gateway.rows(bodies.count)
        }
        #expect(escrow.isAtRest(terms))
        return found.value
    }

    @Test("is reserved for by strict budgets, as often as the call allows it")
    func strict() async throws {
        func tool(_ bound: String) -> String {
            Wire.messages(extra: ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"\(bound)}]")
        }
        let two = Wire.messages(
            extra: ",\"tools\":[{\"type\":\"web\\u005fsearch_20250305\",\"name\":\"a\",\"max_uses\":1},"
                + "{\"type\":\"web_search_20260209\",\"name\":\"b\",\"max_uses\":2}]")
        let held = try await Self.held(
            "anthropic", "claude-sonnet-4-5", path: "/v1/messages",
            bodies: [tool(",\"max_uses\":0"), tool(",\"max_uses\":3"), tool(""), two], answer: Wire.message())
        #expect(held[1] - held[0] == 30_000_000 && held[2] - held[0] == 100_000_000, "\(held)")
        #expect(held[3] - held[0] == 30_000_000, "\(held)")
        func responses(_ extra: String) -> String {
            Wire.responses(extra: ",\"max_output_tokens\":9,\"tools\":[{\"type\":\"web_search_preview\"}]\(extra)")
        }
        let ofResponses = try await Self.held(
            "openai", "gpt-4.1", path: "/v1/responses",
            bodies: [responses(",\"max_tool_calls\":0"), responses(",\"max_tool_calls\":2"), responses("")],
            answer: Wire.response())
        #expect(ofResponses[1] - ofResponses[0] == 50_000_000, "\(ofResponses)")
        #expect(ofResponses[2] - ofResponses[0] == 250_000_000, "\(ofResponses)")
    }

    @Test("is reserved once for models that search always")
    func strictAlways() async throws {
        let held = try await Self.held(
            "openai", "gpt-4o-search-preview", path: "/v1/chat/completions",
            bodies: [Wire.chat(extra: ",\"max_tokens\":10")], answer: Wire.completion())
        // A token for each byte of the body, and 10 of output, at 2.5 and 10 dollars a million.
        let bytes = Int64(Wire.chat(extra: ",\"max_tokens\":10").utf8.count)
        #expect(held == [25_000_000 + bytes * 2500 + 10 * 10_000], "\(held)")
    }
}
