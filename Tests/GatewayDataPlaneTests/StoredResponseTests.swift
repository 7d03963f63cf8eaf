import Foundation
import GatewayAdmission
import GatewayCore
import GatewayDataPlane
import GatewayLedger
import GatewayRouting
import Logging
import TestSupport
import Testing

/// A gateway that keeps responses in `store`, with one deployment of this provider.
private func withArchive(
    _ name: String, store: any ResponseStore, seal: ResponseSeal? = nil,
    _ change: @escaping @Sendable (inout GatewaySetup, inout ResponseArchiveConfiguration, Int) -> Void = {
        _, _, _ in
    },
    _ body: @escaping @Sendable (TestGateway, HandProvider) throws -> Void
) async throws {
    try await withGateway { setup, port in
        setup.deployments = []
        setup.add("chat", port: port, provider: name)
        var configuration = ResponseArchiveConfiguration()
        change(&setup, &configuration, port)
        setup.archive = ResponseArchive(
            store: store, seal: seal, configuration: configuration, clock: setup.clock, logger: setup.logger,
            pause: { await Task.yield() })
    } _: { gateway, provider in
        gateway.keys.set(TestGateway.record("sk-other", number: 2), startingSpend: .zero)
        var teammate = TestGateway.record("sk-mate", number: 3)
        teammate.teamID = "blue"
        gateway.keys.set(teammate, startingSpend: .zero)
        teammate = TestGateway.record("sk-mate-2", number: 4)
        teammate.teamID = "blue"
        gateway.keys.set(teammate, startingSpend: .zero)
        try body(gateway, provider)
    }
}

@Suite("A response that is kept", .serialized)
struct StoredResponseTests {
    private static func send(
        _ gateway: TestGateway, _ method: String, _ path: String, _ body: String = "", key: String = TestGateway.key
    ) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: gateway.port)
        try client.send(RawHTTPClient.bytes(method, path, headers: ["Authorization: Bearer \(key)"], body: body))
        return client
    }

    private static func get(
        _ gateway: TestGateway, _ path: String, method: String = "GET", key: String = TestGateway.key
    ) throws -> RawHTTPResponse {
        try Self.send(gateway, method, "/v1/responses/" + path, key: key).response()
    }

    /// Makes a response by a provider of Anthropic's format.
    /// - Returns: the answer, and what the provider was asked.
    @discardableResult
    private static func make(
        _ gateway: TestGateway, _ provider: HandProvider, _ text: String, key: String = TestGateway.key,
        extra: String = ""
    ) throws -> (answer: RawHTTPResponse, asked: [String: Any]) {
        let client = try Self.send(gateway, "POST", "/v1/responses", Wire.responses(extra: extra), key: key)
        let connection = try provider.accept()
        let asked = try connection.request().json
        try connection.answer(Wire.message(text), headers: ["Connection: close"])
        return (try client.response(), asked)
    }

    private static func id(_ answer: RawHTTPResponse) throws -> String { try #require(answer.json?["id"] as? String) }

    private static func texts(_ asked: [String: Any]) -> [String] {
        (asked["messages"] as? [[String: Any]] ?? []).flatMap { message -> [String] in
            let role = message["role"] as? String ?? ""
            if let text = message["content"] as? String { return ["\(role): \(text)"] }
            return (message["content"] as? [[String: Any]] ?? []).map { "\(role): \($0["text"] as? String ?? "?")" }
        }
    }

    // MARK: kept here

    @Test("is answered again, lists its input, goes on, and is deleted")
    func life() async throws {
        let store = MemoryResponseStore()
        try await withArchive("anthropic", store: store) { gateway, provider in
            let (first, _) = try Self.make(gateway, provider, "one")
            #expect(first.status == 200, "\(first.text)")
            let id = try Self.id(first)
            #expect(id.hasPrefix("resp_") && first.json?["store"] as? Bool == true)
            // Nothing was looked for so far.
            #expect(store.reads == 0 && store.all.map(\.id) == [id])
            let again = try Self.get(gateway, id)
            #expect(again.status == 200 && again.text == first.text)
            let input = try Self.get(gateway, id + "/input_items")
            let items = try #require(input.json?["data"] as? [[String: Any]])
            #expect(items.count == 1 && items[0]["role"] as? String == "user")
            #expect(items[0]["type"] as? String == "message")
            let content = try #require(items[0]["content"] as? [[String: Any]])
            #expect(content[0]["type"] as? String == "input_text" && content[0]["text"] as? String == "hello world!")
            #expect(input.json?["first_id"] as? String == items[0]["id"] as? String)
            #expect(input.json?["has_more"] as? Bool == false)

            let (second, asked) = try Self.make(
                gateway, provider, "two", extra: ",\"previous_response_id\":\"\(id)\"")
            #expect(Self.texts(asked) == ["user: hello world!", "assistant: one", "user: hello world!"])
            #expect(second.json?["previous_response_id"] as? String == id)
            let (third, askedThen) = try Self.make(
                gateway, provider, "three", extra: ",\"previous_response_id\":\"\(try Self.id(second))\"")
            #expect(
                Self.texts(askedThen) == [
                    "user: hello world!", "assistant: one", "user: hello world!", "assistant: two",
                    "user: hello world!",
                ])
            #expect(third.status == 200)

            let deleted = try Self.get(gateway, id, method: "DELETE")
            #expect(deleted.status == 200 && deleted.json?["deleted"] as? Bool == true)
            #expect(deleted.json?["id"] as? String == id)
            #expect(try Self.get(gateway, id).status == 404)
            #expect(try Self.get(gateway, id, method: "DELETE").status == 404)
            let secondID = try Self.id(second)
            #expect(try Self.get(gateway, secondID).status == 200)
            // Without its begin it would be another conversation.
            let lost = try Self.send(
                gateway, "POST", "/v1/responses",
                Wire.responses(extra: ",\"previous_response_id\":\"\(try Self.id(third))\"")
            ).response()
            #expect(lost.status == 400 && lost.openAIError?["code"] as? String == "previous_response_not_found")
            #expect(lost.openAIError?["param"] as? String == "previous_response_id")
            // Only those that were made cost something.
            #expect(try gateway.rows().count == 3)
        }
    }

    @Test("is kept from a stream, whose last event comes when it is stored")
    func stream() async throws {
        let store = GatedResponseStore()
        try await withArchive("anthropic", store: store) { gateway, provider in
            store.close()
            let client = try Self.send(gateway, "POST", "/v1/responses", Wire.responses(extra: ",\"stream\":true"))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.startStream()
            for event in Wire.messageEvents { try connection.chunk(event) }
            try connection.send("0\r\n\r\n")
            try waitUntil("the response to be on its way into the store") { store.hasWaiting }
            #expect(try client.head(before: Deadline(within: .seconds(10))).status == 200)
            var text = ""
            while !text.contains("response.output_text.delta") {
                text += String(
                    decoding: try #require(try client.chunk(before: Deadline(within: .seconds(10)))), as: UTF8.self)
            }
            #expect(!text.contains("response.completed"))
            store.open()
            while let chunk = try client.chunk(before: Deadline(within: .seconds(10))) {
                text += String(decoding: chunk, as: UTF8.self)
            }
            #expect(text.contains("event: response.completed"))
            let id = try #require(store.memory.all.first?.id)
            #expect(text.contains("\"id\":\"\(id)\""))
            let again = try Self.get(gateway, id)
            #expect(again.json?["status"] as? String == "completed" && again.text.contains("0123456789abcdef"))
            #expect(try gateway.rows().map(\.settled) == [.measured])
        }
    }

    @Test("is answered whole although the store does not answer in time", arguments: [false, true])
    func slowStore(isStream: Bool) async throws {
        let store = GatedResponseStore()
        try await withArchive("anthropic", store: store) { _, configuration, _ in
            configuration.storingTimeout = .milliseconds(50)
        } _: { gateway, provider in
            store.close()
            let client = try Self.send(
                gateway, "POST", "/v1/responses", Wire.responses(extra: isStream ? ",\"stream\":true" : ""))
            let connection = try provider.accept()
            _ = try connection.request()
            if isStream {
                try connection.startStream()
                for event in Wire.messageEvents { try connection.chunk(event) }
                try connection.send("0\r\n\r\n")
            } else {
                try connection.answer(Wire.message())
            }
            let answer = try client.response()
            #expect(answer.status == 200 && answer.end == .complete && answer.text.contains("completed"))
            #expect(store.memory.all.isEmpty)
            store.open()
            try waitUntil("the response to be stored after all") { store.memory.all.count == 1 }
        }
    }

    @Test("is left alone where the caller leaves while it is stored")
    func callerLeaves() async throws {
        let store = GatedResponseStore()
        try await withArchive("anthropic", store: store) { gateway, provider in
            store.close()
            let client = try Self.send(gateway, "POST", "/v1/responses", Wire.responses())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.message())
            try waitUntil("the response to be on its way into the store") { store.hasWaiting }
            client.close()
            try waitUntil("the caller to be gone") { gateway.openConnections() == 0 }
            store.open()
            try waitUntil("the response to be stored") { store.memory.all.count == 1 }
            #expect(try gateway.rows().count == 1)
        }
    }

    @Test("goes on in a stream, and with a tool's result")
    func tools() async throws {
        try await withArchive("anthropic", store: MemoryResponseStore()) { gateway, provider in
            let client = try Self.send(
                gateway, "POST", "/v1/responses",
                Wire.responses(extra: ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{}}]"))
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(
                Wire.message().replacingOccurrences(
                    of: "[{\"type\":\"text\",\"text\":\"Hi there\"}]",
                    with: "[{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"x\":1}}]"),
                headers: ["Connection: close"])
            let id = try Self.id(try client.response())
            let body =
                "{\"model\":\"chat\",\"stream\":true,\"previous_response_id\":\"\(id)\",\"input\":[{\"type\":"
                + "\"function_call_output\",\"call_id\":\"toolu_1\",\"output\":\"42\"}]}"
            let next = try Self.send(gateway, "POST", "/v1/responses", body)
            let second = try provider.accept()
            let asked = try second.request().json
            let messages = try #require(asked["messages"] as? [[String: Any]])
            #expect(messages.map { $0["role"] as? String } == ["user", "assistant", "user"])
            #expect("\(messages[1])".contains("toolu_1") && "\(messages[2])".contains("42"))
            try second.startStream()
            for event in Wire.messageEvents { try second.chunk(event) }
            try second.send("0\r\n\r\n")
            let answer = try next.response()
            #expect(answer.text.contains("\"previous_response_id\":\"\(id)\""))
        }
    }

    // MARK: whose it is

    @Test("is nobody else's, but a team's and the master key's")
    func owners() async throws {
        try await withArchive("anthropic", store: MemoryResponseStore()) { gateway, provider in
            let own = try Self.id(try Self.make(gateway, provider, "own").answer)
            let teams = try Self.id(try Self.make(gateway, provider, "team", key: "sk-mate").answer)
            gateway.keys.set(
                TestGateway.record("sk-master", number: 9), startingSpend: .zero, isMaster: true)
            for (id, key, status) in [
                (own, "sk-other", 404), (own, "sk-mate", 404), (teams, TestGateway.key, 404), (teams, "sk-mate-2", 200),
                (own, "sk-master", 200), (own, "sk-nobody", 401),
            ] {
                #expect(try Self.get(gateway, id, key: key).status == status)
                #expect(try Self.get(gateway, id + "/input_items", key: key).status == status)
            }
            #expect(try Self.get(gateway, own, method: "DELETE", key: "sk-other").status == 404)
            let body = Wire.responses(extra: ",\"previous_response_id\":\"\(own)\"")
            let refused = try Self.send(gateway, "POST", "/v1/responses", body, key: "sk-other").response()
            #expect(refused.status == 400 && refused.openAIError?["code"] as? String == "previous_response_not_found")
            #expect(try Self.get(gateway, own).status == 200)
        }
    }

    @Test("is not kept where the caller, the configuration or its size says so")
    func notKept() async throws {
        let store = MemoryResponseStore()
        try await withArchive("anthropic", store: store) { _, configuration, _ in
            configuration.turnBytesMax = 20_000
        } _: { gateway, provider in
            let (answer, _) = try Self.make(gateway, provider, "one", extra: ",\"store\":false")
            #expect(answer.json?["store"] as? Bool == false)
            let id = try Self.id(answer)
            #expect(try Self.get(gateway, id).status == 404)
            let large = try Self.make(gateway, provider, String(repeating: "x", count: 30_000))
            #expect(large.answer.status == 200 && store.all.isEmpty)
        }
    }

    @Test("is not served without a store for it, as it was before")
    func off() async throws {
        try await withProvider("anthropic") { gateway, _ in
            let answer = try Self.get(gateway, "resp_1")
            #expect(answer.status == 200 && gateway.control.requests.count == 1)
        }
    }

    @Test("is refused with what to do where conversations grow too long")
    func tooLong() async throws {
        try await withArchive("anthropic", store: MemoryResponseStore()) { _, configuration, _ in
            configuration.turnsMax = 2
        } _: { gateway, provider in
            var id = try Self.id(try Self.make(gateway, provider, "1").answer)
            for text in ["2", "3"] {
                let extra = ",\"previous_response_id\":\"\(id)\""
                id = try Self.id(try Self.make(gateway, provider, text, extra: extra).answer)
            }
            let refused = try Self.send(
                gateway, "POST", "/v1/responses", Wire.responses(extra: ",\"previous_response_id\":\"\(id)\"")
            ).response()
            #expect(refused.status == 400)
            #expect(refused.text.contains("response_turns_max"))
        }
    }

    @Test("is not asked of a store that is away, and calls that begin a conversation go on")
    func storeAway() async throws {
        let store = MemoryResponseStore()
        try await withArchive("anthropic", store: store) { _, configuration, _ in
            configuration.storingTimeout = .milliseconds(20)
        } _: { gateway, provider in
            let id = try Self.id(try Self.make(gateway, provider, "1").answer)
            store.isAway = true
            #expect(try Self.get(gateway, id).status == 503)
            let refused = try Self.send(
                gateway, "POST", "/v1/responses", Wire.responses(extra: ",\"previous_response_id\":\"\(id)\"")
            ).response()
            #expect(refused.status == 503)
            let (answer, _) = try Self.make(gateway, provider, "2")
            #expect(answer.status == 200)
            store.isAway = false
            try waitUntil("what waited to be stored") { store.all.count == 2 }
            let later = try Self.id(answer)
            #expect(try Self.get(gateway, later).status == 200)
        }
    }

    @Test("is sealed at rest, each for its own identifier")
    func sealed() async throws {
        let store = MemoryResponseStore()
        let seal = ResponseSeal(
            seal: { content, id in Array(id.utf8) + content.map { $0 ^ 0x5A } },
            open: { sealed, id in
                sealed.starts(with: id.utf8) ? sealed.dropFirst(id.utf8.count).map { $0 ^ 0x5A } : nil
            })
        try await withArchive("anthropic", store: store, seal: seal) { gateway, provider in
            let id = try Self.id(try Self.make(gateway, provider, "a secret answer").answer)
            let row = try #require(store.all.first)
            guard case .content(let content) = row.place else { throw DeadlinePassed("a content") }
            let text = String(decoding: content, as: UTF8.self)
            #expect(!text.contains("secret") && !text.contains("hello world"))
            #expect(try Self.get(gateway, id).text.contains("a secret answer"))
        }
    }

    @Test(
        "is kept here where its provider keeps none, whose bytes are not touched",
        arguments: ["", "event: response.completed\ndata: ", "data: ", "data:"])
    func keptForProvider(last: String) async throws {
        let store = MemoryResponseStore()
        try await withArchive("groq", store: store) { gateway, provider in
            let isStream = !last.isEmpty
            let client = try Self.send(
                gateway, "POST", "/v1/responses", Wire.responses(extra: isStream ? ",\"stream\":true" : ""))
            let connection = try provider.accept()
            _ = try connection.request()
            let lineEnd = last == "data:" ? "\r\n" : "\n"
            let events =
                last.replacing("completed", with: "created")
                + "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":"
                + Wire.response("", status: "in_progress") + "}" + lineEnd + lineEnd + last
                + "{\"type\":\"response.completed\",\"sequence_number\":1,\"response\":\(Wire.response())}"
                + lineEnd + lineEnd + (last == "data: " ? "data: [DONE]\n\n" : "")
            if isStream {
                try connection.startStream()
                try connection.chunk(events)
                try connection.send("0\r\n\r\n")
            } else {
                try connection.answer(Wire.response())
            }
            #expect(try client.response().text == (isStream ? events : Wire.response()))
            #expect(try Self.get(gateway, "resp_1").text == Wire.response())

            let body = Wire.responses(extra: ",\"previous_response_id\":\"resp_1\"")
            let next = try Self.send(gateway, "POST", "/v1/responses", body)
            let request = try connection.request()
            #expect(request.json["previous_response_id"] == nil)
            let input = try #require(request.json["input"] as? [[String: Any]])
            #expect(input.map { $0["role"] as? String } == ["user", "assistant", "user"])
            try connection.answer(Wire.response().replacing("resp_1", with: "resp_2"))
            #expect(try next.response().status == 200)
            #expect(store.all.first { $0.id == "resp_2" }?.previousID == "resp_1")
            #expect(try Self.get(gateway, "resp_1", method: "DELETE").status == 200)
            #expect(try gateway.rows().count == 2)
        }
    }

    // MARK: kept by a provider

    @Test("is asked of the deployment that made it, whose bytes are not touched", arguments: [false, true])
    func elsewhere(isStream: Bool) async throws {
        let store = MemoryResponseStore()
        try await withArchive("openai", store: store) { setup, _, port in
            setup.add("chat", port: port)
            setup.deployments[1].authentication = (header: "Authorization", value: Secret("Bearer sk-second"))
            // The first gets all calls, so that the second one's are those that must go to it.
            setup.deployments[0].weight = 1e-12
        } _: { gateway, provider in
            let client = try Self.send(
                gateway, "POST", "/v1/responses", Wire.responses(extra: isStream ? ",\"stream\":true" : ""))
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization") == "Bearer sk-second")
            let events =
                "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":"
                + Wire.response("", status: "in_progress") + "}\n\n"
                + "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,"
                + "\"response\":\(Wire.response())}\n\n"
            if isStream {
                try connection.startStream()
                try connection.chunk(events)
                try connection.send("0\r\n\r\n")
            } else {
                try connection.answer(Wire.response())
            }
            #expect(try client.response().text == (isStream ? events : Wire.response()))
            let row = try #require(store.all.first)
            #expect(row.id == "resp_1" && row.previousID == nil)
            guard case .deployment("id-1", _) = row.place else { throw DeadlinePassed("a deployment") }

            for (method, path) in [
                ("GET", "resp_1?include%5B%5D=x&stream=true"), ("GET", "resp_1/input_items?limit=5&after=m"),
                ("DELETE", "resp_1"),
            ] {
                let client = try Self.send(gateway, method, "/v1/responses/" + path)
                let request = try connection.request()
                let expected = path.replacingOccurrences(of: "&stream=true", with: "")
                #expect(request.head.hasPrefix("\(method) /v1/responses/\(expected) HTTP/1.1\r\n"), "\(request.head)")
                #expect(request.header("authorization") == "Bearer sk-second")
                try connection.answer("{\"kept\":\"there\"}")
                let answer = try client.response()
                #expect(answer.status == 200 && answer.text == "{\"kept\":\"there\"}")
            }
            try waitUntil("the row to be gone") { store.all.isEmpty }
            #expect(try Self.get(gateway, "resp_1").status == 404)
            #expect(try gateway.rows().map(\.kind) == [.responses])
        }
    }

    @Test("goes on at the deployment that keeps it, or another of its account, and nowhere else")
    func pinned() async throws {
        let store = MemoryResponseStore()
        try await withArchive("openai", store: store) { setup, _, port in
            for (index, group) in ["chat", "other", "foreign", "claude"].enumerated() {
                setup.add(group, port: port, provider: group == "claude" ? "anthropic" : "openai")
                if index == 0 || index == 2 {
                    setup.deployments[index + 1].authentication =
                        (header: "Authorization", value: Secret("Bearer sk-another"))
                }
            }
            setup.deployments[0].weight = 1e-12
            setup.fallbacks = [("chat", ["foreign", "claude"])]
        } _: { gateway, provider in
            let client = try Self.send(gateway, "POST", "/v1/responses", Wire.responses())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.response())
            _ = try client.response()
            for (model, isServed) in [("chat", true), ("foreign", true), ("other", false), ("claude", false)] {
                let body = Wire.responses(model, extra: ",\"previous_response_id\":\"resp_1\",\"store\":false")
                let client = try Self.send(gateway, "POST", "/v1/responses", body)
                guard isServed else {
                    let refused = try client.response()
                    #expect(refused.status == 400 && refused.text.contains("kept by a provider"), "\(refused.text)")
                    continue
                }
                let request = try connection.request()
                #expect(request.header("authorization") == "Bearer sk-another")
                #expect(request.json["previous_response_id"] as? String == "resp_1")
                try connection.answer(Wire.response())
                #expect(try client.response().status == 200)
            }
        }
    }

    @Test("goes on at a provider of Responses with its turns in the input")
    func movesOver() async throws {
        let store = MemoryResponseStore()
        try await withArchive("anthropic", store: store) { setup, _, port in
            setup.add("gpt", port: port)
        } _: { gateway, provider in
            let id = try Self.id(try Self.make(gateway, provider, "one").answer)
            let body = Wire.responses("gpt", extra: ",\"previous_response_id\":\"\(id)\",\"temperature\" : 1.50")
            let client = try Self.send(gateway, "POST", "/v1/responses", body)
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.head.hasPrefix("POST /v1/responses "))
            #expect(request.json["previous_response_id"] == nil)
            #expect(String(decoding: request.body, as: UTF8.self).contains("\"temperature\":1.50"))
            let input = try #require(request.json["input"] as? [[String: Any]])
            #expect(input.map { $0["role"] as? String } == ["user", "assistant", "user"])
            // Identifiers that the provider has not given mean nothing to it.
            #expect(input.allSatisfy { $0["id"] == nil })
            try connection.answer(Wire.response())
            #expect(try client.response().status == 200)
            #expect(store.all.count == 2)
        }
    }

    @Test("passes the provider's refusals on, and is found neither malformed nor twice")
    func oddRequests() async throws {
        try await withArchive("openai", store: MemoryResponseStore()) { gateway, provider in
            let client = try Self.send(gateway, "POST", "/v1/responses", Wire.responses())
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.response())
            _ = try client.response()
            let gone = try Self.send(gateway, "GET", "/v1/responses/resp_1")
            _ = try connection.request()
            try connection.answer("{\"error\":{\"message\":\"gone\"}}", status: 404)
            let answer = try gone.response()
            #expect(answer.status == 404 && answer.text == "{\"error\":{\"message\":\"gone\"}}")
            for path in ["resp_1/input_items?limit=0", "resp_1?order=up", "%zz"] {
                #expect(try Self.get(gateway, path).status == 400)
            }
            for path in ["%00", "resp%2F..", "x%20y", String(repeating: "r", count: 2000)] {
                #expect(try Self.get(gateway, path).status == 404)
            }
        }
    }
}
