import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayRouting
import TestSupport
import Testing

@Suite("A request for embeddings", .serialized)
struct EmbeddingFormatTests {
    private static func send(
        _ gateway: TestGateway, _ path: String, _ body: String, query key: String? = nil
    ) throws -> RawHTTPClient {
        let client = try RawHTTPClient(port: gateway.port)
        let headers = key == nil ? ["Authorization: Bearer \(TestGateway.key)"] : []
        try client.send(RawHTTPClient.bytes("POST", path, headers: headers, body: body))
        return client
    }

    /// One exchange.
    private static func exchange(
        _ gateway: TestGateway, _ provider: HandProvider, _ path: String, _ body: String, answer: String,
        status: Int = 200, headers: [String] = []
    ) throws -> (request: ProviderRequest, answer: RawHTTPResponse) {
        let client = try Self.send(gateway, path, body)
        let connection = try provider.accept()
        let request = try connection.request()
        try connection.answer(answer, status: status, headers: headers + ["Connection: close"])
        return (request, try client.response())
    }

    private static let openAI =
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":1,\"embedding\":[3.5,-4]},{\"object\":"
        + "\"embedding\",\"index\":0,\"embedding\":[1.0e-3,2]}],\"model\":\"up\",\"usage\":{\"prompt_tokens\":9,"
        + "\"total_tokens\":9}}"

    // MARK: straight

    @Test("in Gemini's shape goes straight to Gemini, with the model's name in path and body")
    func gemini() async throws {
        try await withProvider("gemini") { gateway, provider in
            let one = "{\"model\": \"models/chat\", \"content\":{\"parts\":[{\"text\":\"hi\"}]}, \"x\" : 1.0}"
            let answered = "{\"embedding\": {\"values\": [0.5, 1]}, \"usageMetadata\":{\"promptTokenCount\":3}}"
            let (request, answer) = try Self.exchange(
                gateway, provider, "/v1beta/models/chat:embedContent", one, answer: answered)
            #expect(request.head.hasPrefix("POST /v1beta/models/up-chat:embedContent HTTP/1.1\r\n"))
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == one.replacingOccurrences(of: "models/chat", with: "models/up-chat"))
            #expect(answer.status == 200 && answer.text == answered)
            let batch =
                "{\"requests\":[{\"model\":\"models/chat\",\"content\":{\"parts\":[{\"text\":\"a\"}]}},"
                + "{\"model\":\"models/other\",\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}"
            let (batched, _) = try Self.exchange(
                gateway, provider, "/v1/models/chat:batchEmbedContents", batch, answer: "{\"embeddings\":[]}")
            #expect(batched.head.hasPrefix("POST /v1beta/models/up-chat:batchEmbedContents "))
            let models = (batched.json["requests"] as? [[String: Any]])?.map { $0["model"] as? String }
            #expect(models == ["models/up-chat", "models/up-chat"])
            let rows = try gateway.rows()
            #expect(rows.map(\.kind) == [.embedding, .embedding])
            #expect(rows[0].usage.input == 3 && rows[0].usage.output == 0 && rows[0].flags == .measured)
            #expect(rows[1].flags == .estimated && rows[1].usage.input > 0)
        }
    }

    @Test("in Cohere's shape goes straight to Cohere, and its billed units are booked")
    func cohere() async throws {
        try await withProvider("cohere") { gateway, provider in
            let body = "{\"model\":\"chat\",\"texts\":[\"a\"],\"input_type\":\"image\",\"embedding_types\":[\"int8\"]}"
            let answered =
                "{\"id\":\"e\",\"embeddings\":{\"int8\":[[1]]},\"meta\":{\"billed_units\":{\"input_tokens\":4}}}"
            let (request, answer) = try Self.exchange(gateway, provider, "/v2/embed", body, answer: answered)
            #expect(request.head.hasPrefix("POST /v2/embed HTTP/1.1\r\n"))
            #expect(
                String(decoding: request.body, as: UTF8.self)
                    == body.replacingOccurrences(of: "\"chat\"", with: "\"up-chat\""))
            #expect(answer.text == answered)
            let row = try #require(try gateway.rows().first)
            #expect(row.kind == .embedding && row.usage.input == 4 && row.cost.rawValue == 4000)
        }
    }

    // MARK: translated

    @Test("in Gemini's shape is served by a provider of OpenAI's")
    func geminiToOpenAI() async throws {
        try await withGateway { gateway, provider in
            let batch =
                "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\\u00e9\"}]},\"outputDimensionality\":2},"
                + "{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"outputDimensionality\":2}]}"
            let (request, answer) = try Self.exchange(
                gateway, provider, "/v1beta/models/chat:batchEmbedContents", batch, answer: Self.openAI)
            #expect(request.head.hasPrefix("POST /v1/embeddings ") && request.json["model"] as? String == "up-chat")
            #expect(request.json["input"] as? [String] == ["a\u{e9}", "b"] && request.json["dimensions"] as? Int == 2)
            #expect(
                answer.text
                    == "{\"embeddings\":[{\"values\":[1.0e-3,2]},{\"values\":[3.5,-4]}],\"usageMetadata\":"
                    + "{\"promptTokenCount\":9}}")
            let one = "{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"taskType\":\"RETRIEVAL_QUERY\"}"
            let single = Self.openAI.replacingOccurrences(
                of: ",{\"object\":\"embedding\",\"index\":0,\"embedding\":[1.0e-3,2]}", with: "")
            let (_, first) = try Self.exchange(
                gateway, provider, "/v1beta/models/chat:embedContent", one, answer: single)
            #expect(first.text.hasPrefix("{\"embedding\":{\"values\":[3.5,-4]}"))
            #expect(try gateway.rows().map(\.flags) == [.measured, .measured])
        }
    }

    @Test("in Cohere's shape is served by a provider of OpenAI's", arguments: ["float", "base64"])
    func cohereToOpenAI(type: String) async throws {
        try await withGateway { gateway, provider in
            let body =
                "{\"model\":\"chat\",\"texts\":[\"a\",\"b\"],\"input_type\":\"search_query\",\"embedding_types\":"
                + "[\"\(type)\"],\"output_dimension\":2}"
            let (request, answer) = try Self.exchange(gateway, provider, "/v2/embed", body, answer: Self.openAI)
            #expect(request.json["input"] as? [String] == ["a", "b"] && request.json["dimensions"] as? Int == 2)
            #expect(request.json["encoding_format"] as? String == "float" && request.json["texts"] == nil)
            let embeddings = try #require(answer.json?["embeddings"] as? [String: Any])
            if type == "float" {
                #expect(embeddings["float"] as? [[Double]] == [[0.001, 2], [3.5, -4]])
            } else {
                let texts = try #require(embeddings["base64"] as? [String])
                let vectors = try texts.map { try Self.floats($0) }
                #expect(vectors == [[0.001, 2], [3.5, -4]])
            }
            #expect(answer.json?["texts"] as? [String] == ["a", "b"])
            #expect((answer.json?["meta"] as? [String: Any])?["billed_units"] as? [String: Int] == ["input_tokens": 9])
        }
    }

    private static func floats(_ text: String) throws -> [Float] {
        let data = try #require(Data(base64Encoded: text))
        return stride(from: 0, to: data.count, by: 4).map { start in
            Float(bitPattern: data[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
        }
    }

    @Test("in OpenAI's shape is served by Vertex AI, in floats and in base64", arguments: [false, true])
    func vertex(isBase64: Bool) async throws {
        try await withProvider("vertex_ai") {
            $0.deployments[0].model = "text-embedding-005"
        } _: { gateway, provider in
            let body =
                "{\"model\":\"chat\",\"input\":[\"a\",\"b\"],\"dimensions\":2,\"input_type\":\"query\",\"user\":\"u\""
                + (isBase64 ? ",\"encoding_format\":\"base64\"}" : "}")
            let (request, answer) = try Self.exchange(
                gateway, provider, "/v1/embeddings", body,
                answer: "{\"predictions\":[{\"embeddings\":{\"values\":[0.25,1],\"statistics\":{\"token_count\":3,"
                    + "\"truncated\":false}}},{\"embeddings\":{\"values\":[2,-1],\"statistics\":"
                    + "{\"token_count\":4.0}}}]}")
            #expect(request.head.hasPrefix("POST /v1beta1/publishers/google/models/text-embedding-005:predict "))
            let instances = request.json["instances"] as? [[String: String]]
            #expect(
                instances == [
                    ["content": "a", "task_type": "RETRIEVAL_QUERY"], ["content": "b", "task_type": "RETRIEVAL_QUERY"],
                ])
            #expect(request.json["parameters"] as? [String: Int] == ["outputDimensionality": 2])
            let data = try #require(answer.json?["data"] as? [[String: Any]])
            #expect(data.map { $0["index"] as? Int } == [0, 1])
            if isBase64 {
                let vector = try Self.floats(try #require(data[1]["embedding"] as? String))
                #expect(vector == [2, -1])
            } else {
                #expect(data[1]["embedding"] as? [Double] == [2, -1])
            }
            #expect((answer.json?["usage"] as? [String: Int]) == ["prompt_tokens": 7, "total_tokens": 7])
            let row = try #require(try gateway.rows().first)
            #expect(row.usage.input == 7 && row.flags == .measured && row.kind == .embedding)
        }
    }

    @Test("in OpenAI's shape is served by Bedrock, in the shape of the model's maker, and signed")
    func bedrock() async throws {
        try await withProvider("bedrock") { setup in
            setup.deployments[0].model = "amazon.titan-embed-text-v2:0"
            setup.deployments[0].authentication = nil
            setup.deployments[0].awsKeyPair = AWSKeyPair(
                accessKeyID: "AKID", secretAccessKey: Secret("secret"), sessionToken: nil)
            setup.deployments.append(setup.deployments[0])
            setup.deployments[1].modelGroup = "cohere"
            setup.deployments[1].deploymentID = "id-1"
            setup.deployments[1].model = "cohere.embed-english-v3"
        } _: { gateway, provider in
            let (request, answer) = try Self.exchange(
                gateway, provider, "/v1/embeddings", "{\"model\":\"chat\",\"input\":\"a\",\"dimensions\":256}",
                answer: "{\"embedding\":[0.5,1],\"inputTextTokenCount\":5}")
            #expect(request.head.hasPrefix("POST /model/amazon.titan-embed-text-v2%3A0/invoke "))
            #expect(request.header("authorization")?.hasPrefix("AWS4-HMAC-SHA256 Credential=AKID/") == true)
            #expect(request.json["inputText"] as? String == "a" && request.json["dimensions"] as? Int == 256)
            #expect(((answer.json?["data"] as? [[String: Any]])?.first?["embedding"] as? [Double]) == [0.5, 1])
            let (other, answered) = try Self.exchange(
                gateway, provider, "/v1/embeddings", "{\"model\":\"cohere\",\"input\":[\"a\",\"b\"]}",
                answer: "{\"embeddings\":[[1],[2]],\"response_type\":\"embeddings_floats\"}",
                headers: ["X-Amzn-Bedrock-Input-Token-Count: 6"])
            #expect(other.json["texts"] as? [String] == ["a", "b"])
            #expect(other.json["input_type"] as? String == "search_document")
            #expect((answered.json?["data"] as? [[String: Any]])?.count == 2)
            #expect(try gateway.rows().map(\.usage.input) == [5, 6])
            for (body, param) in [
                ("{\"model\":\"chat\",\"input\":[\"a\",\"b\"]}", "input"),
                ("{\"model\":\"cohere\",\"input\":[[1,2]]}", "input"),
                ("{\"model\":\"cohere\",\"input\":[]}", "input"),
                ("{\"model\":\"cohere\",\"input\":\"a\",\"x\":1}", "x"),
            ] {
                let refused = try Self.send(gateway, "/v1/embeddings", body).response()
                #expect(refused.status == 400 && refused.openAIError?["param"] as? String == param, "\(refused.text)")
            }
        }
    }

    // MARK: what goes wrong

    @Test("gets errors in its own shape, and answers that are none are none")
    func errors() async throws {
        try await withGateway { gateway, provider in
            let gemini = "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}"
            let (_, refused) = try Self.exchange(
                gateway, provider, "/v1beta/models/chat:embedContent", gemini, answer: Wire.error("too long"),
                status: 400)
            let error = try #require(refused.json?["error"] as? [String: Any])
            #expect(refused.status == 400 && error["status"] as? String == "INVALID_ARGUMENT")
            for body in ["{}", "{\"data\":[]}", "[1]", "{\"data\":[{\"embedding\":null}]}", "<html>"] {
                let (_, broken) = try Self.exchange(
                    gateway, provider, "/v1beta/models/chat:embedContent", gemini, answer: body)
                #expect(broken.status == 502, "\(body): \(broken.text)")
            }
            for (path, body) in [
                ("/v1beta/models/chat:embedContent", "{\"content\":{\"parts\":[{\"inlineData\":{}}]}}"),
                ("/v1beta/models/chat:batchEmbedContents", "{\"requests\":[]}"),
                ("/v2/embed", "{\"model\":\"chat\",\"texts\":[\"a\"],\"embedding_types\":[\"int8\"]}"),
                ("/v2/embed", "{\"model\":\"chat\",\"images\":[\"data:\"]}"),
            ] {
                #expect(try Self.send(gateway, path, body).response().status == 400, "\(path) \(body)")
            }
            #expect(try gateway.rows().count == 6)
        }
    }

    @Test("takes Google's key in the query")
    func queryKey() async throws {
        try await withProvider("gemini") { gateway, provider in
            let path = "/v1beta/models/chat:embedContent?key=\(TestGateway.key)"
            let client = try Self.send(
                gateway, path, "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}", query: TestGateway.key)
            let connection = try provider.accept()
            let head = try connection.request().head
            #expect(!head.contains(TestGateway.key))
            try connection.answer("{\"embedding\":{\"values\":[1]}}")
            #expect(try client.response().status == 200)
        }
    }
}
