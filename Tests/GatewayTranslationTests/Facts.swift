import Foundation

/// What an answer says, read without any of the code under test: generic JSON and a small table for each format.
/// `differences` compares what the provider sent with what the caller got.
struct Facts {
    var text = ""
    var reasoning = ""
    var refusal = ""
    /// Name and arguments; arguments that are no JSON object stay text.
    var calls: [(name: String, arguments: NSObject)] = []
    /// `stop`, `length`, `tool_calls`, `content_filter`.
    var finish: String?
    var images = 0
    /// `nil`: not reported.
    var usage: [String: Int]?
    /// An error came instead, or in the end.
    var error: String?
    var signatures: [String] = []

    mutating func addCall(_ name: String, _ arguments: Any?) {
        if let text = arguments as? String {
            let parsed = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            self.calls.append((name, (parsed as? NSDictionary) ?? (text.isEmpty ? NSDictionary() : text as NSString)))
        } else {
            // Through text, so that both sides are made of the same types.
            let data = arguments.flatMap { try? JSONSerialization.data(withJSONObject: $0) }
            self.addCall(name, data.map { String(decoding: $0, as: UTF8.self) } ?? "")
        }
    }

    /// Empty: the same.
    func differences(from other: Facts, ignoring: Set<String> = []) -> [String] {
        var result: [String] = []
        func check(_ name: String, _ isSame: Bool, _ detail: @autoclosure () -> String) {
            if !isSame, !ignoring.contains(name) { result.append("\(name): \(detail())") }
        }
        check("text", self.text == other.text, "\(self.text.prefix(200)) | \(other.text.prefix(200))")
        check(
            "reasoning", self.reasoning == other.reasoning,
            "\(self.reasoning.prefix(80)) | \(other.reasoning.prefix(80))")
        check("refusal", self.refusal == other.refusal, "\(self.refusal) | \(other.refusal)")
        check("finish", self.finish == other.finish, "\(self.finish ?? "-") | \(other.finish ?? "-")")
        check("images", self.images == other.images, "\(self.images) | \(other.images)")
        check("error", self.error == other.error, "\(self.error ?? "-") | \(other.error ?? "-")")
        check("calls", self.calls.count == other.calls.count, "\(self.calls.count) | \(other.calls.count)")
        for (a, b) in zip(self.calls, other.calls) {
            check("call name", a.name == b.name, "\(a.name) | \(b.name)")
            check("arguments", Self.isSame(a.arguments, b.arguments), "\(a.arguments) | \(b.arguments)")
        }
        let names = Set(self.usage?.keys.map { $0 } ?? []).union(other.usage?.keys.map { $0 } ?? [])
        for name in names.sorted() {
            let (a, b) = (self.usage?[name] ?? 0, other.usage?[name] ?? 0)
            check(name, a == b, "\(a) | \(b)")
        }
        return result
    }

    /// A call that was cut is no object; formats that want one hold its text in `raw_arguments`.
    private static func isSame(_ a: NSObject, _ b: NSObject) -> Bool {
        if a.isEqual(b) { return true }
        let (x, y) = (Self.raw(a), Self.raw(b))
        return x != nil && x == y
    }

    private static func raw(_ value: NSObject) -> String? {
        if let text = value as? String { return text }
        return (value as? [String: Any])?["raw_arguments"] as? String
    }
}

/// Short ways into generic JSON.
struct Generic {
    let value: Any?

    init(_ value: Any?) { self.value = value is NSNull ? nil : value }

    init(json bytes: [UInt8]) {
        self.init(try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed]))
    }

    subscript(_ key: String) -> Generic { Generic((self.value as? [String: Any])?[key]) }
    var list: [Generic] { (self.value as? [Any])?.map { Generic($0) } ?? [] }
    var string: String? { self.value as? String }
    var int: Int? { (self.value as? NSNumber)?.intValue }
    var bool: Bool { (self.value as? NSNumber)?.boolValue ?? false }
    var exists: Bool { self.value != nil }
    var keys: [String] { (self.value as? [String: Any])?.keys.sorted() ?? [] }
}

/// Facts of whole answers.
extension Facts {
    init(format: String, body: Generic) {
        self.init()
        if body["error"].exists, format != "responses" || !body["output"].exists, !body["choices"].exists {
            self.error = body["error"]["message"].string ?? body["error"].string ?? "error"
            return
        }
        switch format {
        case "chat": self.readChat(body)
        case "anthropic": self.readAnthropic(body)
        case "gemini": self.readGemini([body])
        case "responses": self.readResponses(body)
        case "bedrock": self.readBedrock(body)
        case "cohere": self.readCohere(body)
        default: self.readOllama([body])
        }
    }

    static let finishes: [String: String] = [
        "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "STOP": "stop", "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop", "eos": "stop", "MALFORMED_FUNCTION_CALL": "stop", "UNEXPECTED_TOOL_CALL": "stop",
        "ERROR": "stop", "load": "stop", "unload": "stop",
        "length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "model_length": "length",
        "model_context_window_exceeded": "length", "pause_turn": "length",
        "tool_calls": "tool_calls", "tool_use": "tool_calls", "TOOL_CALL": "tool_calls", "function_call": "tool_calls",
        "content_filter": "content_filter", "refusal": "content_filter", "SAFETY": "content_filter",
        "PROHIBITED_CONTENT": "content_filter", "MODEL_ARMOR": "content_filter",
        "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
        "ERROR_TOXIC": "content_filter", "malformed_model_output": "stop",
    ]

    mutating func setFinish(_ native: String?) {
        guard let native else { return }
        let finish = Self.finishes[native] ?? "unknown \(native)"
        // The presence of calls decides, not the reason.
        self.finish = finish == "stop" && !self.calls.isEmpty ? "tool_calls" : finish
    }

    mutating func readChatUsage(_ usage: Generic) {
        guard usage["prompt_tokens"].exists || usage["total_tokens"].exists else { return }
        var output = usage["completion_tokens"].int ?? 0
        let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].int ?? 0
        let input = usage["prompt_tokens"].int ?? 0
        if reasoning > 0, usage["total_tokens"].int == input + output + reasoning { output += reasoning }
        self.usage = [
            "input": input, "output": output, "reasoning": reasoning,
            // Azure's Grok reports more cached tokens than tokens.
            "cached": min(
                input,
                usage["prompt_tokens_details"]["cached_tokens"].int ?? usage["prompt_cache_hit_tokens"].int
                    ?? usage["num_cached_tokens"].int ?? usage["cached_tokens"].int ?? 0),
            "written": usage["prompt_tokens_details"]["cache_write_tokens"].int ?? 0,
        ]
    }

    mutating func readChatMessage(_ message: Generic) {
        if let text = message["content"].string { self.text += text }
        for part in message["content"].list {
            self.text += part["text"].string ?? ""
            for piece in part["thinking"].list { self.reasoning += piece["text"].string ?? "" }
        }
        self.reasoning += message["reasoning_content"].string ?? message["reasoning"].string ?? ""
        self.refusal += message["refusal"].string ?? ""
        self.images += message["images"].list.count
        for block in message["thinking_blocks"].list {
            if let signature = block["signature"].string { self.signatures.append(signature) }
        }
    }

    private mutating func readChat(_ body: Generic) {
        let choice = body["choices"].list.first { $0["index"].int ?? 0 == 0 } ?? Generic(nil)
        self.readChatMessage(choice["message"])
        if !choice["message"].exists { self.text += choice["text"].string ?? "" }
        for call in choice["message"]["tool_calls"].list {
            self.addCall(call["function"]["name"].string ?? "", call["function"]["arguments"].value)
        }
        self.setFinish(choice["finish_reason"].string)
        self.readChatUsage(body["usage"].exists ? body["usage"] : choice["usage"])
    }

    mutating func readAnthropicUsage(_ usage: Generic) {
        guard usage.exists else { return }
        var counts = self.usage ?? [:]
        func latest(_ key: String) -> Int? { usage[key].int }
        counts["plain"] = latest("input_tokens") ?? counts["plain"]
        counts["cached"] = latest("cache_read_input_tokens") ?? counts["cached"]
        counts["written"] = latest("cache_creation_input_tokens") ?? counts["written"]
        counts["output"] = latest("output_tokens") ?? counts["output"]
        counts["reasoning"] = usage["output_tokens_details"]["thinking_tokens"].int ?? counts["reasoning"]
        self.usage = counts
    }

    mutating func finishAnthropicUsage() {
        guard var counts = self.usage else { return }
        counts["input"] = (counts["plain"] ?? 0) + (counts["cached"] ?? 0) + (counts["written"] ?? 0)
        counts["plain"] = nil
        self.usage = counts
    }

    mutating func readAnthropicBlock(_ block: Generic) {
        switch block["type"].string {
        case "text": self.text += block["text"].string ?? ""
        case "thinking":
            self.reasoning += block["thinking"].string ?? ""
            if let signature = block["signature"].string { self.signatures.append(signature) }
        case "tool_use": self.addCall(block["name"].string ?? "", block["input"].value)
        default: break
        }
    }

    private mutating func readAnthropic(_ body: Generic) {
        for block in body["content"].list { self.readAnthropicBlock(block) }
        self.setFinish(body["stop_reason"].string)
        self.readAnthropicUsage(body["usage"])
        self.finishAnthropicUsage()
    }

    /// A list of answers is a stream of them.
    mutating func readGemini(_ bodies: [Generic]) {
        var finish: String?
        var partial: (name: String, arguments: [String: String])?
        for body in bodies {
            if let message = body["error"]["message"].string { self.error = message }
            for candidate in body["candidates"].list where candidate["index"].int ?? 0 == 0 {
                for part in candidate["content"]["parts"].list { self.readGeminiPart(part, &partial) }
                finish = candidate["finishReason"].string ?? finish
            }
            if body["promptFeedback"]["blockReason"].exists { finish = "SAFETY" }
            let usage = body["usageMetadata"]
            guard usage["promptTokenCount"].exists || usage["totalTokenCount"].exists else { continue }
            self.usage = [
                "input": (usage["promptTokenCount"].int ?? 0) + (usage["toolUsePromptTokenCount"].int ?? 0),
                "output": (usage["candidatesTokenCount"].int ?? 0) + (usage["thoughtsTokenCount"].int ?? 0),
                "reasoning": usage["thoughtsTokenCount"].int ?? 0, "cached": usage["cachedContentTokenCount"].int ?? 0,
            ]
        }
        self.setFinish(finish)
    }

    /// - Parameter partial: a call whose arguments come in pieces; the recorded ones are strings, one level deep.
    private mutating func readGeminiPart(
        _ part: Generic, _ partial: inout (name: String, arguments: [String: String])?
    ) {
        if let text = part["text"].string {
            if part["thought"].bool { self.reasoning += text } else { self.text += text }
        }
        if part["inlineData"].exists { self.images += 1 }
        let call = part["functionCall"]
        guard call.exists else { return }
        if let name = call["name"].string {
            guard call["willContinue"].bool else { return self.addCall(name, call["args"].value) }
            partial = (name, [:])
        }
        for piece in call["partialArgs"].list {
            let key = String((piece["jsonPath"].string ?? "").dropFirst(2))
            partial?.arguments[key, default: ""] += piece["stringValue"].string ?? ""
        }
        if let whole = partial, !call["willContinue"].bool {
            self.addCall(whole.name, whole.arguments)
            partial = nil
        }
    }

    mutating func readResponses(_ body: Generic) {
        for item in body["output"].list {
            switch item["type"].string {
            case "message":
                for part in item["content"].list {
                    self.text += part["type"].string == "output_text" ? part["text"].string ?? "" : ""
                    self.refusal += part["refusal"].string ?? ""
                }
            case "reasoning":
                for part in item["summary"].list + item["content"].list { self.reasoning += part["text"].string ?? "" }
            case "function_call": self.addCall(item["name"].string ?? "", item["arguments"].value)
            case "image_generation_call": self.images += 1
            default: break
            }
        }
        switch (body["status"].string, body["incomplete_details"]["reason"].string) {
        case ("incomplete", "content_filter"): self.finish = "content_filter"
        case ("incomplete", _): self.finish = "length"
        case ("completed", _): self.setFinish("stop")
        case ("failed", _): self.error = body["error"]["message"].string ?? "failed"
        default: break
        }
        let usage = body["usage"]
        guard usage.exists else { return }
        self.usage = [
            "input": usage["input_tokens"].int ?? 0, "output": usage["output_tokens"].int ?? 0,
            "reasoning": usage["output_tokens_details"]["reasoning_tokens"].int ?? 0,
            "cached": usage["input_tokens_details"]["cached_tokens"].int ?? 0,
            "written": usage["input_tokens_details"]["cache_write_tokens"].int ?? 0,
        ]
    }

    mutating func readBedrockUsage(_ usage: Generic) {
        guard usage.exists else { return }
        let (cached, written) = (usage["cacheReadInputTokens"].int ?? 0, usage["cacheWriteInputTokens"].int ?? 0)
        self.usage = [
            "input": (usage["inputTokens"].int ?? 0) + cached + written, "output": usage["outputTokens"].int ?? 0,
            "cached": cached, "written": written,
        ]
    }

    private mutating func readBedrock(_ body: Generic) {
        for block in body["output"]["message"]["content"].list {
            self.text += block["text"].string ?? ""
            for part in block["citationsContent"]["content"].list { self.text += part["text"].string ?? "" }
            self.reasoning += block["reasoningContent"]["reasoningText"]["text"].string ?? ""
            if let signature = block["reasoningContent"]["reasoningText"]["signature"].string {
                self.signatures.append(signature)
            }
            if block["toolUse"].exists {
                self.addCall(block["toolUse"]["name"].string ?? "", block["toolUse"]["input"].value)
            }
        }
        self.setFinish(body["stopReason"].string)
        self.readBedrockUsage(body["usage"])
    }

    mutating func readCohereUsage(_ usage: Generic) {
        let tokens = usage["tokens"].exists ? usage["tokens"] : usage["billed_units"]
        guard tokens.exists else { return }
        self.usage = [
            "input": tokens["input_tokens"].int ?? 0, "output": tokens["output_tokens"].int ?? 0,
            "reasoning": tokens["reasoning_tokens"].int ?? 0, "cached": usage["cached_tokens"].int ?? 0,
        ]
    }

    private mutating func readCohere(_ body: Generic) {
        self.reasoning += body["message"]["tool_plan"].string ?? ""
        for part in body["message"]["content"].list {
            self.text += part["text"].string ?? ""
            self.reasoning += part["thinking"].string ?? ""
        }
        for call in body["message"]["tool_calls"].list {
            self.addCall(call["function"]["name"].string ?? "", call["function"]["arguments"].value)
        }
        self.setFinish(body["finish_reason"].string)
        self.readCohereUsage(body["usage"])
    }

    mutating func readOllama(_ bodies: [Generic]) {
        for body in bodies {
            if let message = body["error"].string { self.error = message }
            self.text += body["message"]["content"].string ?? ""
            self.reasoning += body["message"]["thinking"].string ?? ""
            self.images += body["message"]["images"].list.count
            for call in body["message"]["tool_calls"].list {
                self.addCall(call["function"]["name"].string ?? "", call["function"]["arguments"].value)
            }
            guard body["done"].bool else { continue }
            self.setFinish(body["done_reason"].string ?? "stop")
            self.usage = ["input": body["prompt_eval_count"].int ?? 0, "output": body["eval_count"].int ?? 0]
        }
    }
}
