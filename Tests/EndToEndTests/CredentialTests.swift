import CryptoExtras
import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A gateway that fetches its credentials")
    struct Credentials {
        private static let chat =
            "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],"
            + "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12}}"
        private static let candidate =
            "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\"}],"
            + "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":2,\"totalTokenCount\":12}}"
        private static let message =
            "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[{\"type\":\"text\","
            + "\"text\":\"Hi\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":10,\"output_tokens\":2}}"
        private static let converse =
            "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"Hi\"}]}},\"stopReason\":\"end_turn\","
            + "\"usage\":{\"inputTokens\":10,\"outputTokens\":2,\"totalTokens\":12}}"

        /// Clouds that give tokens and answer only who shows them.
        private static func answer(_ request: ScriptedCloud.Request) -> ScriptedCloud.Answer {
            func serve(_ body: String, _ isAllowed: Bool) -> ScriptedCloud.Answer {
                isAllowed ? .init(body) : .init("{\"error\":{\"message\":\"who are you?\"}}", status: 401)
            }
            let authorization = request.header("authorization") ?? ""
            let line = request.line
            if line == "POST /tenant/oauth2/v2.0/token" {
                guard request.body.contains("client_secret=planted") else {
                    return .init("{\"error\":\"invalid_client\"}", status: 401)
                }
                return .init("{\"access_token\":\"entra-token\",\"expires_in\":3599}")
            }
            if line == "POST /google/token" { return .init("{\"access_token\":\"ya29\",\"expires_in\":3599}") }
            if line == "PUT /latest/api/token" { return .init("session") }
            if line == "GET /latest/meta-data/iam/security-credentials/" { return .init("role") }
            if line == "GET /latest/meta-data/iam/security-credentials/role" {
                return .init(
                    "{\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"planted\",\"Token\":\"t\","
                        + "\"Expiration\":\"2999-01-01T00:00:00Z\"}")
            }
            if line.hasPrefix("POST /openai/deployments/") {
                return serve(Self.chat, authorization == "Bearer entra-token")
            }
            if line.hasSuffix(":countTokens") { return serve("{\"totalTokens\":10}", authorization == "Bearer ya29") }
            if line.hasPrefix("POST /v1/projects/p1/") { return serve(Self.candidate, authorization == "Bearer ya29") }
            let isSigned = authorization.hasPrefix("AWS4-HMAC-SHA256 Credential=ASIA/")
            if line.hasSuffix("/converse") { return serve(Self.converse, isSigned) }
            if line.hasSuffix("/invoke") { return serve(Self.message, isSigned) }
            return .init("{}", status: 404)
        }

        private static func configuration(_ url: String, accountFile: String) -> String {
            """
            model_list:
              - model_name: azure
                litellm_params: {model: azure/gpt, api_base: "\(url)", tenant_id: tenant, client_id: c, client_secret: planted}
              - model_name: refused
                litellm_params: {model: azure/gpt, api_base: "\(url)", tenant_id: tenant, client_id: c, client_secret: wrong}
              - model_name: vertex
                litellm_params: {model: vertex_ai/gemini-x, api_base: "\(url)", vertex_credentials: "\(accountFile)"}
              - model_name: nova
                litellm_params: {model: bedrock/amazon.nova, api_base: "\(url)", aws_region_name: eu-west-1}
              - model_name: claude
                litellm_params: {model: bedrock/invoke/anthropic.claude-x, api_base: "\(url)", aws_region_name: eu-west-1}
            router_settings: {num_retries: 1}
            general_settings:
              master_key: \(MartletProcess.masterKey)

            """
        }

        @Test("gets one for each, once, and calls the clouds with it")
        func clouds() throws {
            let cloud = try ScriptedCloud { Self.answer($0) }
            defer { cloud.stop() }
            let key = try _RSA.Signing.PrivateKey(keySize: .bits2048)
            let account = try JSONSerialization.data(withJSONObject: [
                "type": "service_account", "project_id": "p1", "private_key_id": "k",
                "private_key": key.pkcs8PEMRepresentation, "client_email": "a@b",
                "token_uri": cloud.url + "/google/token",
            ])
            let name = "account-\(UUID().uuidString).json"
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(name)
            try account.write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            let gateway = try MartletProcess(
                configuration: Self.configuration(cloud.url, accountFile: file.path),
                environment: ["AZURE_AUTHORITY_HOST": cloud.url, "AWS_EC2_METADATA_SERVICE_ENDPOINT": cloud.url])
            try gateway.start()
            defer { gateway.kill() }
            let virtualKey = try gateway.generateKey()
            for model in ["azure", "vertex", "nova", "claude"] {
                for _ in 0..<3 {
                    let answer = try gateway.chat(model: model, key: virtualKey)
                    #expect(answer.status == 200 && answer.text.contains("Hi"), "\(model): \(answer.text)")
                }
            }
            let refused = try gateway.chat(model: "refused", key: virtualKey)
            #expect(refused.status == 401 && refused.text.contains("authentication_error"), "\(refused.text)")
            #expect(!refused.text.contains("wrong") && !refused.text.contains("127.0.0.1"))
            #expect(cloud.requests("POST /tenant/").count == 2)
            #expect(cloud.requests("POST /google/").count == 1)
            #expect(cloud.requests("PUT /latest/").count == 1)

            // Counted by who counts, estimated for the others, and booked nowhere.
            let contents = "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Say hello.\"}]}]}"
            let counted = try gateway.request(
                "POST", "/v1beta/models/vertex:countTokens", key: virtualKey, body: contents)
            #expect(counted.status == 200 && counted.text == "{\"totalTokens\":10}", "\(counted.text)")
            let estimated = try gateway.request(
                "POST", "/v1/messages/count_tokens", key: virtualKey,
                body: "{\"model\":\"azure\",\"messages\":[{\"role\":\"user\",\"content\":\"Say hello.\"}]}")
            #expect(estimated.status == 200 && (estimated.json?["input_tokens"] as? Int ?? 0) > 0, "\(estimated.text)")
            #expect(estimated.header("x-martlet-token-count") == "estimated")

            var rows: [ExportedAttempt] = []
            try waitUntil("13 rows in the ledger") {
                rows = try gateway.exportLedger()
                return rows.count >= 13
            }
            #expect(rows.count == 13)
            #expect(rows.filter { $0.promptTokens == 10 && $0.completionTokens == 2 && $0.isMeasured }.count == 12)
            #expect(rows.filter { $0.isError && $0.costNanos == 0 }.count == 1)
            #expect(try gateway.verifyLedger().end == .exited(0))
        }
    }
}
