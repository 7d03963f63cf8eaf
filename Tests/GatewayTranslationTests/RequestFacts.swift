import Foundation

/// What a request asks for, read without any of the code under test.
struct RequestFacts {
    var system = ""
    /// All that was said by user and assistant, in order, without spaces between.
    var said = ""
    var calls: [(name: String, arguments: NSObject)] = []
    /// Results of tools: text, or the JSON that stands for it.
    var results: [NSObject] = []
    var media = 0
    var tools: [String: String] = [:]
    /// Names of the parameters of all tools.
    var parameters: Set<String> = []
    var choice: String?
    var maxTokens: Int?
    var temperature: Double?
    var stop: [String] = []
    var hasSchema = false
    /// System messages within the conversation count as what the user said: not every format has a place for them.
    private var countsLateSystemAsSaid = false

    func differences(from other: RequestFacts, ignoring: Set<String> = []) -> [String] {
        var result: [String] = []
        func check(_ name: String, _ isSame: Bool, _ detail: @autoclosure () -> String) {
            if !isSame, !ignoring.contains(name) { result.append("\(name): \(detail())") }
        }
        check("system", self.system == other.system, "\(self.system.prefix(150)) | \(other.system.prefix(150))")
        let isSpaced = ignoring.contains("space")
        let said = { (text: String) in isSpaced ? text.filter { !$0.isWhitespace } : text }
        check("said", said(self.said) == said(other.said), "\(self.said.prefix(300)) | \(other.said.prefix(300))")
        check("media", self.media == other.media, "\(self.media) | \(other.media)")
        check("calls", self.calls.count == other.calls.count, "\(self.calls.count) | \(other.calls.count)")
        for (a, b) in zip(self.calls, other.calls) {
            check("call", a.name == b.name && a.arguments.isEqual(b.arguments), "\(a) | \(b)")
        }
        check("results", self.results.count == other.results.count, "\(self.results.count) | \(other.results.count)")
        for (a, b) in zip(self.results, other.results) {
            check("result", Self.isSameResult(a, b), "\(a) | \(b)")
        }
        check("tools", self.tools == other.tools, "\(self.tools.keys.sorted()) | \(other.tools.keys.sorted())")
        check("parameters", self.parameters == other.parameters, "\(self.parameters) | \(other.parameters)")
        check("choice", self.choice == other.choice, "\(self.choice ?? "-") | \(other.choice ?? "-")")
        check("max tokens", self.maxTokens == other.maxTokens, "\(self.maxTokens ?? -1) | \(other.maxTokens ?? -1)")
        check(
            "temperature", self.temperature == other.temperature,
            "\(self.temperature ?? -1) | \(other.temperature ?? -1)")
        check("stop", self.stop == other.stop, "\(self.stop) | \(other.stop)")
        check("schema", self.hasSchema == other.hasSchema, "\(self.hasSchema) | \(other.hasSchema)")
        return result
    }

    /// Text, an object, or the object that Gemini wants around a text.
    private static func isSameResult(_ a: NSObject, _ b: NSObject) -> Bool {
        if a.isEqual(b) { return true }
        func plain(_ value: NSObject) -> NSObject {
            guard let object = value as? [String: Any], object.count == 1,
                let inner = (object["result"] ?? object["error"]) as? NSObject
            else { return value }
            return inner
        }
        return plain(a).isEqual(b) || a.isEqual(plain(b)) || plain(a).isEqual(plain(b))
    }

    mutating func addResult(_ value: Generic) {
        if let text = value.string {
            let parsed = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            self.results.append((parsed as? NSDictionary) ?? (text as NSString))
        } else if let object = value.value as? NSDictionary {
            self.results.append(object)
        } else {
            var text = ""
            for part in value.list {
                let types = ["image", "document", "input_image", "input_file"]
                let keys = ["image_url", "image", "document", "file"]
                if types.contains(part["type"].string ?? "") || keys.contains(where: { part[$0].exists }) {
                    self.media += 1
                }
                if part["json"].exists { return self.addResult(part["json"]) }
                text += part["text"].string ?? ""
            }
            let parsed = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            self.results.append((parsed as? NSDictionary) ?? (text as NSString))
        }
    }

    mutating func addCall(_ name: String, _ arguments: Any?) {
        var facts = Facts()
        facts.addCall(name, arguments)
        self.calls += facts.calls
    }

    mutating func addTool(_ name: String?, _ description: String?, _ schema: Generic) {
        guard let name else { return }
        self.tools[name] = description ?? ""
        self.parameters.formUnion(schema["properties"].keys)
    }
}

extension RequestFacts {
    init(format: String, body: Generic, countsLateSystemAsSaid: Bool = false) {
        self.init()
        self.countsLateSystemAsSaid = countsLateSystemAsSaid
        switch format {
        case "chat": self.readChat(body)
        case "anthropic": self.readAnthropic(body)
        case "gemini": self.readGemini(body)
        case "responses": self.readResponses(body)
        case "bedrock": self.readBedrock(body)
        case "cohere": self.readChat(body)
        default: self.readOllama(body)
        }
    }

    private mutating func readContent(_ content: Generic, isSystem: Bool) {
        var text = content.string ?? ""
        for part in content.list {
            if part["type"].string == "thinking" { continue }
            text += part["text"].string ?? part["input_text"].string ?? ""
            for key in ["image_url", "input_audio", "file", "document_url", "video_url"] where part[key].exists {
                self.media += 1
            }
            if part["type"].string == "input_image" && part["file_id"].exists || part["type"].string == "input_file" {
                self.media += 1
            }
        }
        if isSystem { self.system += text } else { self.said += text }
    }

    private func isSystem(_ role: String?) -> Bool {
        let isLate = self.countsLateSystemAsSaid && !(self.said.isEmpty && self.calls.isEmpty)
        return (role == "system" || role == "developer") && !isLate
    }

    private mutating func readChat(_ body: Generic) {
        for message in body["messages"].list {
            let role = message["role"].string
            if role == "tool" || role == "function" {
                self.addResult(message["content"])
                continue
            }
            self.readContent(message["content"], isSystem: self.isSystem(role))
            for call in message["tool_calls"].list {
                self.addCall(call["function"]["name"].string ?? "", call["function"]["arguments"].value)
            }
        }
        for tool in body["tools"].list {
            let function = tool["function"]
            self.addTool(function["name"].string, function["description"].string, function["parameters"])
        }
        let choice = body["tool_choice"]
        self.choice = choice["function"]["name"].string ?? choice.string?.lowercased()
        // Mistral's word.
        if self.choice == "any" { self.choice = "required" }
        self.maxTokens = body["max_completion_tokens"].int ?? body["max_tokens"].int
        self.temperature = (body["temperature"].value as? NSNumber)?.doubleValue
        let stop = body["stop"].exists ? body["stop"] : body["stop_sequences"]
        self.stop = stop.string.map { [$0] } ?? stop.list.compactMap(\.string)
        self.hasSchema =
            body["response_format"]["json_schema"].exists || body["response_format"]["schema"].exists
    }

    private mutating func readAnthropicBlocks(_ content: Generic, isSystem: Bool) {
        if let text = content.string {
            if isSystem { self.system += text } else { self.said += text }
        }
        for block in content.list {
            switch block["type"].string {
            case "text":
                if isSystem {
                    self.system += block["text"].string ?? ""
                } else {
                    self.said += block["text"].string ?? ""
                }
            case "image", "document": self.media += 1
            case "tool_use": self.addCall(block["name"].string ?? "", block["input"].value)
            case "tool_result": self.addResult(block["content"])
            default: break
            }
        }
    }

    private mutating func readAnthropic(_ body: Generic) {
        self.readAnthropicBlocks(body["system"], isSystem: true)
        for message in body["messages"].list {
            self.readAnthropicBlocks(message["content"], isSystem: self.isSystem(message["role"].string))
        }
        for tool in body["tools"].list where tool["type"].string ?? "custom" == "custom" {
            if tool["name"].string == "json_tool_call" {
                // Any object stands for JSON without a schema.
                self.hasSchema = tool["input_schema"]["properties"].exists
                continue
            }
            self.addTool(tool["name"].string, tool["description"].string, tool["input_schema"])
        }
        switch body["tool_choice"]["type"].string {
        case "any": self.choice = "required"
        case "tool": self.choice = body["tool_choice"]["name"].string
        case let other: self.choice = other
        }
        if self.choice == "json_tool_call" { self.choice = nil }
        self.maxTokens = body["max_tokens"].int
        self.temperature = (body["temperature"].value as? NSNumber)?.doubleValue
        self.stop = body["stop_sequences"].list.compactMap(\.string)
        self.hasSchema = self.hasSchema || body["output_config"]["format"]["schema"].exists
    }

    private mutating func readGemini(_ body: Generic) {
        func either(_ object: Generic, _ a: String, _ b: String) -> Generic { object[a].exists ? object[a] : object[b] }
        let system = either(body, "systemInstruction", "system_instruction")["parts"]
        for part in system["text"].exists ? [system] : system.list { self.system += part["text"].string ?? "" }
        for content in body["contents"].list {
            for part in content["parts"].list {
                let call = either(part, "functionCall", "function_call")
                let response = either(part, "functionResponse", "function_response")
                if call.exists { self.addCall(call["name"].string ?? "", call["args"].value) }
                if response.exists { self.addResult(response["response"]) }
                if either(part, "inlineData", "inline_data").exists || either(part, "fileData", "file_data").exists {
                    self.media += 1
                }
                if !part["thought"].bool { self.said += part["text"].string ?? "" }
            }
        }
        for tool in body["tools"].list {
            for function in either(tool, "functionDeclarations", "function_declarations").list {
                let schema = either(function, "parametersJsonSchema", "parameters_json_schema")
                self.addTool(
                    function["name"].string, function["description"].string,
                    schema.exists ? schema : function["parameters"])
            }
        }
        let calling = body["toolConfig"]["functionCallingConfig"]
        let names = calling["allowedFunctionNames"].list
        switch calling["mode"].string {
        case "ANY": self.choice = names.count == 1 ? names[0].string : "required"
        case "NONE": self.choice = "none"
        case "AUTO", "VALIDATED": self.choice = "auto"
        default: self.choice = nil
        }
        let config = either(body, "generationConfig", "generation_config")
        self.maxTokens = either(config, "maxOutputTokens", "max_output_tokens").int
        self.temperature = (config["temperature"].value as? NSNumber)?.doubleValue
        self.stop = config["stopSequences"].list.compactMap(\.string)
        self.hasSchema =
            either(config, "responseSchema", "response_schema").exists
            || either(config, "responseJsonSchema", "response_json_schema").exists
    }

    private mutating func readResponses(_ body: Generic) {
        self.system += body["instructions"].string ?? ""
        self.said += body["input"].string ?? ""
        for item in body["input"].list {
            switch item["type"].string {
            case "function_call": self.addCall(item["name"].string ?? "", item["arguments"].value)
            case "function_call_output": self.addResult(item["output"])
            case nil, "message":
                let role = item["role"].string
                self.readContent(item["content"], isSystem: self.isSystem(role))
            default: break
            }
        }
        for tool in body["tools"].list where tool["type"].string == "function" {
            self.addTool(tool["name"].string, tool["description"].string, tool["parameters"])
        }
        self.choice = body["tool_choice"]["name"].string ?? body["tool_choice"].string
        self.maxTokens = body["max_output_tokens"].int
        self.temperature = (body["temperature"].value as? NSNumber)?.doubleValue
        self.hasSchema = body["text"]["format"]["schema"].exists
    }

    private mutating func readBedrock(_ body: Generic) {
        for block in body["system"].list { self.system += block["text"].string ?? "" }
        for message in body["messages"].list {
            for block in message["content"].list {
                self.said += block["text"].string ?? ""
                for key in ["image", "document", "video", "audio"] where block[key].exists { self.media += 1 }
                let use = block["toolUse"]
                if use.exists { self.addCall(use["name"].string ?? "", use["input"].value) }
                if block["toolResult"].exists { self.addResult(block["toolResult"]["content"]) }
            }
        }
        for tool in body["toolConfig"]["tools"].list where tool["toolSpec"].exists {
            let spec = tool["toolSpec"]
            if spec["name"].string == "json_tool_call" {
                self.hasSchema = spec["inputSchema"]["json"]["properties"].exists
                continue
            }
            self.addTool(spec["name"].string, spec["description"].string, spec["inputSchema"]["json"])
        }
        let choice = body["toolConfig"]["toolChoice"]
        self.choice =
            choice["tool"]["name"].string ?? (choice["any"].exists ? "required" : choice["auto"].exists ? "auto" : nil)
        if self.choice == "json_tool_call" { self.choice = nil }
        self.maxTokens = body["inferenceConfig"]["maxTokens"].int
        self.temperature = (body["inferenceConfig"]["temperature"].value as? NSNumber)?.doubleValue
        self.stop = body["inferenceConfig"]["stopSequences"].list.compactMap(\.string)
        self.hasSchema =
            self.hasSchema || body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"].exists
    }

    private mutating func readOllama(_ body: Generic) {
        for message in body["messages"].list {
            let role = message["role"].string
            self.media += message["images"].list.count
            if role == "tool" {
                self.addResult(message["content"])
                continue
            }
            if role == "system" { self.system += message["content"].string ?? "" }
            if role != "system" { self.said += message["content"].string ?? "" }
            for call in message["tool_calls"].list {
                self.addCall(call["function"]["name"].string ?? "", call["function"]["arguments"].value)
            }
        }
        for tool in body["tools"].list {
            let function = tool["function"]
            self.addTool(function["name"].string, function["description"].string, function["parameters"])
        }
        self.maxTokens = body["options"]["num_predict"].int
        self.temperature = (body["options"]["temperature"].value as? NSNumber)?.doubleValue
        let stop = body["options"]["stop"]
        self.stop = stop.string.map { [$0] } ?? stop.list.compactMap(\.string)
        self.hasSchema = body["format"].value is NSDictionary
    }
}
