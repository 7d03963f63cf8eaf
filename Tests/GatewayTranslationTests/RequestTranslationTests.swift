import GatewayTranslation
import GatewayWire
import TestSupport
import Testing

@Suite("A translated request", .ownThread)
struct RequestTranslationTests {
    private func dropping(_ format: WireFormat, _ model: String = "m") -> TranslationOptions {
        var options = TranslationOptions()
        options.dropsUnsupported = true
        options.traits = ModelTraits(format: format, model: model)
        return options
    }

    @Test("from chat to Anthropic keeps big integers, names tools safely and forces no thinking")
    func chatToAnthropic() throws {
        let text = Translate.golden("chat-request.json")
        let (body, result) = try Translate.request(text, .openAIChat, .anthropic, self.dropping(.anthropic))
        #expect(body["system"].list.first?["text"].string == "Answer briefly.")
        #expect(body["max_tokens"].int == 500)
        #expect(body["messages"].list.map { $0["role"].string } == ["user", "assistant", "user"])
        let image = body["messages"].list[0]["content"].list[1]
        #expect(image["source"]["media_type"].string == "image/png")
        #expect(image["source"]["data"].string == "iVBORw0KGgo=")
        let use = body["messages"].list[1]["content"].list[0]
        #expect(use["name"].string == "look_up")
        #expect(result.memory.toolNames == ["look_up": "look.up"])
        #expect(String(decoding: result.body, as: UTF8.self).contains("12345678901234567890"))
        #expect(body["messages"].list[1]["content"].list[1]["input"].keys.isEmpty)
        let last = body["messages"].list[2]["content"].list
        #expect(last.map { $0["type"].string } == ["tool_result", "tool_result", "text"])
        #expect(body["tool_choice"]["type"].string == "any")
        #expect(!body["thinking"].exists)
        #expect(result.dropped.contains("reasoning_effort"))
        #expect(body["tools"].list[0]["input_schema"]["type"].string == "object")
        #expect(body["temperature"].int == 1)
        #expect(body["metadata"]["user_id"].string == "u1")
    }

    @Test("from Anthropic to chat puts results first and merges nothing away")
    func anthropicToChat() throws {
        let text = Translate.golden("anthropic-request.json")
        let (body, _) = try Translate.request(text, .anthropic, .openAIChat)
        let messages = body["messages"].list
        #expect(messages.map { $0["role"].string } == ["system", "user", "assistant", "tool", "tool", "user"])
        #expect(messages[2]["tool_calls"].list.count == 2)
        #expect(messages[2]["tool_calls"].list[0]["function"]["arguments"].string == "{\"city\":\"Paris\"}")
        #expect(messages[3]["content"].string == "12 C")
        #expect(messages[5]["content"].string == "Go on.")
        #expect(body["max_completion_tokens"].int == 300)
        #expect(body["reasoning_effort"].string == "medium")
        #expect(body["parallel_tool_calls"].value as? Bool == false)
        #expect(!String(describing: body.value).contains("cache_control"))
    }

    @Test("from Anthropic to Bedrock turns cache control into cache points")
    func cachePoints() throws {
        var options = self.dropping(.bedrock, "anthropic.claude-3-7-sonnet")
        options.dropsUnsupported = true
        let (body, _) = try Translate.request(Translate.golden("anthropic-request.json"), .anthropic, .bedrock, options)
        #expect(body["system"].list.map { $0.keys.first ?? "" } == ["text", "cachePoint"])
        #expect(body["system"].list[1]["cachePoint"]["ttl"].string == "1h")
        #expect(body["toolConfig"]["tools"].list[1]["cachePoint"].exists)
        let thinking = body["messages"].list[1]["content"].list[0]["reasoningContent"]["reasoningText"]
        #expect(thinking["signature"].string == "c2ln")
    }

    @Test(
        "is refused by the name of the field that the target cannot express",
        arguments: [
            ("\"n\":2", "n", WireFormat.anthropic), ("\"seed\":1", "seed", .anthropic),
            ("\"logprobs\":true", "logprobs", .bedrock), ("\"logit_bias\":{\"1\":2}", "logit_bias", .gemini),
            ("\"stop\":[\"a\"]", "stop", .openAIResponses),
            ("\"frequency_penalty\":1", "frequency_penalty", .anthropic),
            ("\"modalities\":[\"audio\"]", "modalities", .gemini),
        ] as [(String, String, WireFormat)])
    func refused(member: String, field: String, target: WireFormat) throws {
        let text = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\(member)}"
        let error = #expect(throws: TranslationError.self) { try Translate.request(text, .openAIChat, target) }
        #expect(error?.kind == .unsupported)
        #expect(error?.param == field)
        #expect(error?.gatewayError.status == 400)
        let (_, result) = try Translate.request(text, .openAIChat, target, self.dropping(target))
        #expect(result.dropped.contains(field))
    }

    @Test("with content that the target cannot express is refused even where parameters may be dropped")
    func content() {
        let audio = """
            {"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]}
            """
        #expect(throws: TranslationError.self) {
            try Translate.request(audio, .openAIChat, .anthropic, self.dropping(.anthropic))
        }
    }

    @Test(
        "that is malformed is an error of the caller",
        arguments: [
            "", "[]", "{", "{\"model\":\"m\"}", "{\"model\":\"m\",\"messages\":{}}",
            "{\"messages\":[{\"role\":\"pope\",\"content\":\"\"}]}", "{\"messages\":[{\"role\":5}]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "{\"messages\":[1]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
        ])
    func malformed(text: String) {
        for target in [WireFormat.openAIChat, .anthropic, .gemini] {
            let error = #expect(throws: TranslationError.self) { try Translate.request(text, .openAIChat, target) }
            #expect(error?.kind == .invalidRequest)
        }
    }

    @Test("with arguments that are no object is refused, since they were the caller's")
    func brokenArguments() {
        let text = """
            {"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\\"x\\":"}}]}]}
            """
        let error = #expect(throws: TranslationError.self) { try Translate.request(text, .openAIChat, .anthropic) }
        #expect(error?.kind == .invalidRequest)
    }

    @Test("is brought into the provider's words", arguments: ["mistral", "deepseek", "openrouter", "groq"])
    func quirks(provider: String) throws {
        var options = TranslationOptions()
        options.quirks = .named(provider)
        let text = """
            {"model":"m","messages":[{"role":"developer","content":"x"}],"max_completion_tokens":5,"tool_choice":"required"}
            """
        let (body, _) = try Translate.request(text, .openAIChat, .openAIChat, options)
        #expect(body["messages"].list[0]["role"].string == "system")
        #expect(body["tool_choice"].string == (provider == "mistral" ? "any" : "required"))
        let keepsNewName = provider == "openrouter" || provider == "groq"
        #expect((keepsNewName ? body["max_completion_tokens"] : body["max_tokens"]).int == 5)
    }

    @Test("carries Gemini's thought signature through the id of a call")
    func thoughtSignature() throws {
        let answer = """
            {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"ab+/cd=="}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}
            """
        guard case .answer(let translated) = try Translate.answer(answer, .gemini, .anthropic) else {
            Issue.record("no answer")
            return
        }
        let block = Generic(json: translated.body)["content"].list[0]
        let id = try #require(block["id"].string)
        #expect(id.utf8.allSatisfy { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "=") })
        let request = """
            {"max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"\(id)","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"\(id)","content":"r"}]}]}
            """
        let (body, _) = try Translate.request(request, .anthropic, .gemini, self.dropping(.gemini, "gemini-3-pro"))
        let part = body["contents"].list[1]["parts"].list[0]
        #expect(part["thoughtSignature"].string == "ab+/cd==")
        #expect(body["contents"].list[2]["parts"].list[0]["functionResponse"]["name"].string == "f")
    }

    @Test("that asks for a schema gets a tool that stands in, whose input is the answer")
    func answerTool() throws {
        var options = TranslationOptions()
        options.traits.hasStructuredOutput = false
        let text = """
            {"model":"m","messages":[{"role":"user","content":"q"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"x":{"type":"integer"}}}}}}
            """
        let (body, result) = try Translate.request(text, .openAIChat, .anthropic, options)
        #expect(body["tool_choice"]["name"].string == "json_tool_call")
        let answer = """
            {"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"tool_use","id":"t","name":"json_tool_call","input":{"x":1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}
            """
        guard
            case .answer(let translated) = try Translate.answer(answer, .anthropic, .openAIChat, memory: result.memory)
        else {
            Issue.record("no answer")
            return
        }
        let choice = Generic(json: translated.body)["choices"].list[0]
        #expect(choice["message"]["content"].string == "{\"x\":1}")
        #expect(choice["finish_reason"].string == "stop")
    }
}

@Suite("A request in Anthropic's format for another host", .ownThread)
struct HostedAnthropicTests {
    @Test(
        "bears the version and leaves the model to the path",
        arguments: [("vertex-2023-10-16", true), ("bedrock-2023-05-31", false)], [WireFormat.anthropic, .openAIChat])
    func version(host: (version: String, keepsStream: Bool), source: WireFormat) throws {
        var options = TranslationOptions()
        options.anthropicVersionInBody = host.version
        options.model = "claude-x"
        let text = #"{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#
        let (body, _) = try Translate.request(text, source, .anthropic, options)
        #expect(body["anthropic_version"].string == host.version)
        #expect(!body["model"].exists)
        #expect(body["stream"].exists == host.keepsStream)
        #expect(body["max_tokens"].int == 5)
    }
}

@Suite("Names of tools", .ownThread)
struct ToolNameTests {
    @Test(
        "that have to change never become another tool's, and come back", arguments: [WireFormat.anthropic, .bedrock])
    func apart(target: WireFormat) throws {
        let names = ["a.b", "a_b", "a/b", "a b", "a_b_2", "日本", "", String(repeating: "x.", count: 200)]
        let tools = names.map { #"{"type":"function","function":{"name":"\#($0)","parameters":{"type":"object"}}}"# }
        let text = #"{"messages":[{"role":"user","content":"Hi"}],"tools":[\#(tools.joined(separator: ","))]}"#
        let (body, result) = try Translate.request(text, .openAIChat, target)
        let list = target == .anthropic ? body["tools"].list : body["toolConfig"]["tools"].list.map { $0["toolSpec"] }
        let sent = list.compactMap { $0["name"].string }
        #expect(Set(sent).count == names.count)
        #expect(sent.map { result.memory.toolNames[$0] ?? $0 } == names)
        #expect(sent.allSatisfy { !$0.isEmpty && $0.utf8.count <= (target == .bedrock ? 64 : 128) })
    }
}
