import Foundation

/// Facts of streams: each event read as generic JSON.
extension Facts {
    /// - Parameter events: name and data of each event.
    init(format: String, events: [(name: String, data: [UInt8])]) {
        self.init()
        let parsed = events.filter { !$0.data.starts(with: "[DONE]".utf8) }.map { ($0.name, Generic(json: $0.data)) }
        switch format {
        case "chat": self.readChatStream(parsed.map(\.1))
        case "anthropic": self.readAnthropicStream(parsed.map(\.1))
        case "gemini": self.readGemini(parsed.map(\.1))
        case "responses": self.readResponsesStream(parsed.map(\.1))
        case "bedrock": self.readBedrockStream(parsed)
        case "cohere": self.readCohereStream(parsed.map(\.1))
        default: self.readOllama(parsed.map(\.1))
        }
    }

    private mutating func readChatStream(_ events: [Generic]) {
        var calls: [Int: (name: String, arguments: String)] = [:]
        var ids: [Int: String] = [:]
        var finish: String?
        for event in events {
            if event["error"].exists {
                self.error = event["error"]["message"].string ?? event["error"].string ?? "error"
            }
            for choice in event["choices"].list where choice["index"].int ?? 0 == 0 {
                let delta = choice["delta"]
                self.readChatMessage(delta)
                for call in delta["tool_calls"].list {
                    var index = call["index"].int ?? calls.count
                    // Some send 0 for every call: a new id is a new call.
                    if let id = call["id"].string, let known = ids[index], known != id { index = calls.count }
                    if let id = call["id"].string, ids[index] == nil { ids[index] = id }
                    var known = calls[index] ?? ("", "")
                    if known.name.isEmpty { known.name = call["function"]["name"].string ?? "" }
                    known.arguments += call["function"]["arguments"].string ?? ""
                    calls[index] = known
                }
                finish = choice["finish_reason"].string ?? finish
                if choice["usage"].exists { self.readChatUsage(choice["usage"]) }
            }
            if event["usage"].exists { self.readChatUsage(event["usage"]) }
            if !event["usage"].exists, event["x_groq"]["usage"].exists { self.readChatUsage(event["x_groq"]["usage"]) }
        }
        for (_, call) in calls.sorted(by: { $0.key < $1.key }) { self.addCall(call.name, call.arguments) }
        self.setFinish(finish)
    }

    private mutating func readAnthropicStream(_ events: [Generic]) {
        var call: (name: String, arguments: String)?
        var finish: String?
        var hasStarted = false
        for event in events {
            switch event["type"].string {
            case "message_start":
                if hasStarted { break }
                hasStarted = true
                self.readAnthropicUsage(event["message"]["usage"])
            case "content_block_start":
                let block = event["content_block"]
                if block["type"].string == "tool_use" {
                    call = (block["name"].string ?? "", "")
                } else {
                    self.readAnthropicBlock(block)
                }
            case "content_block_delta":
                let delta = event["delta"]
                self.text += delta["text"].string ?? ""
                self.reasoning += delta["thinking"].string ?? ""
                if let signature = delta["signature"].string { self.signatures.append(signature) }
                call?.arguments += delta["partial_json"].string ?? ""
            case "content_block_stop":
                if let whole = call { self.addCall(whole.name, whole.arguments) }
                call = nil
            case "message_delta":
                finish = event["delta"]["stop_reason"].string ?? finish
                self.readAnthropicUsage(event["usage"])
            case "error": self.error = event["error"]["message"].string ?? "error"
            default: break
            }
        }
        self.finishAnthropicUsage()
        self.setFinish(finish)
    }

    /// The last event holds the whole answer; the deltas must add up to it.
    private mutating func readResponsesStream(_ events: [Generic]) {
        var text = ""
        var reasoning = ""
        for event in events {
            switch event["type"].string {
            case "response.output_text.delta": text += event["delta"].string ?? ""
            case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
                reasoning += event["delta"].string ?? ""
            case "response.completed", "response.incomplete", "response.failed": self.readResponses(event["response"])
            case "error": self.error = event["message"].string ?? event["error"]["message"].string ?? "error"
            default: break
            }
        }
        if self.error == nil, text != self.text { self.text += " | deltas: " + text }
        if self.error == nil, reasoning != self.reasoning { self.reasoning += " | deltas: " + reasoning }
        if self.error != nil {
            self.text = text
            self.reasoning = reasoning
        }
    }

    private mutating func readBedrockStream(_ events: [(String, Generic)]) {
        var call: (name: String, arguments: String)?
        var finish: String?
        for (name, event) in events {
            if name.lowercased().contains("exception") { self.error = event["message"].string ?? name }
            let start = event["start"]["toolUse"]
            if start.exists { call = (start["name"].string ?? "", "") }
            let delta = event["delta"]
            self.text += delta["text"].string ?? ""
            self.reasoning += delta["reasoningContent"]["text"].string ?? ""
            if let signature = delta["reasoningContent"]["signature"].string { self.signatures.append(signature) }
            call?.arguments += delta["toolUse"]["input"].string ?? ""
            if name == "contentBlockStop", let whole = call {
                self.addCall(whole.name, whole.arguments)
                call = nil
            }
            finish = event["stopReason"].string ?? finish
            self.readBedrockUsage(event["usage"])
        }
        self.setFinish(finish)
    }

    private mutating func readCohereStream(_ events: [Generic]) {
        var call: (name: String, arguments: String)?
        var finish: String?
        for event in events {
            let message = event["delta"]["message"]
            self.reasoning += message["tool_plan"].string ?? ""
            self.text += message["content"]["text"].string ?? ""
            self.reasoning += message["content"]["thinking"].string ?? ""
            let function = message["tool_calls"]["function"]
            switch event["type"].string {
            case "tool-call-start": call = (function["name"].string ?? "", function["arguments"].string ?? "")
            case "tool-call-delta": call?.arguments += function["arguments"].string ?? ""
            case "tool-call-end":
                if let whole = call { self.addCall(whole.name, whole.arguments) }
                call = nil
            case "message-end":
                finish = event["delta"]["finish_reason"].string
                self.readCohereUsage(event["delta"]["usage"])
                self.error = event["delta"]["error"].string
            default: break
            }
        }
        self.setFinish(finish)
    }
}

/// Cutting streams into events, once more and simply.
enum StreamCutting {
    static func events(_ bytes: [UInt8], framing: String) -> [(name: String, data: [UInt8])] {
        switch framing {
        case "frames": self.frames(bytes)
        case "lines": self.lines(bytes).map { ("", $0) }
        case "array": self.elements(bytes)
        default: self.serverSentEvents(bytes)
        }
    }

    private static func lines(_ bytes: [UInt8]) -> [[UInt8]] {
        bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }).map(Array.init).filter { !$0.isEmpty }
    }

    private static func elements(_ bytes: [UInt8]) -> [(name: String, data: [UInt8])] {
        Generic(json: bytes).list.compactMap { element in
            element.value.flatMap { try? JSONSerialization.data(withJSONObject: $0) }.map { ("", Array($0)) }
        }
    }

    private static func serverSentEvents(_ bytes: [UInt8]) -> [(name: String, data: [UInt8])] {
        let text = String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
        var result: [(name: String, data: [UInt8])] = []
        for block in text.components(separatedBy: "\n\n") {
            var name = ""
            var data: [String] = []
            for line in block.split(separator: "\n") {
                if line.hasPrefix("event:") { name = line.dropFirst(6).trimmingCharacters(in: .whitespaces) }
                if line.hasPrefix("data:") { data.append(line.dropFirst(5).trimmingCharacters(in: .whitespaces)) }
            }
            if !data.isEmpty { result.append((name, Array(data.joined(separator: "\n").utf8))) }
        }
        return result
    }

    /// CRC-32, bit by bit.
    static func sum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? (sum >> 1) ^ 0xEDB8_8320 : sum >> 1 }
        }
        return ~sum
    }

    private static func frames(_ bytes: [UInt8]) -> [(name: String, data: [UInt8])] {
        var result: [(name: String, data: [UInt8])] = []
        var rest = bytes[...]
        func word(_ offset: Int) -> Int {
            rest.dropFirst(offset).prefix(4).reduce(0) { $0 << 8 | Int($1) }
        }
        while rest.count >= 16 {
            let (total, headers) = (word(0), word(4))
            guard rest.count >= total, sum(rest.prefix(8)) == UInt32(word(8)),
                sum(rest.prefix(total - 4)) == UInt32(word(total - 4))
            else {
                result.append(("damaged exception", []))
                break
            }
            var header = Array(rest.dropFirst(12).prefix(headers))[...]
            var name = ""
            while let length = header.first {
                let key = String(decoding: header.dropFirst().prefix(Int(length)), as: UTF8.self)
                header = header.dropFirst(2 + Int(length))
                let width = Int(header.first ?? 0) << 8 | Int(header.dropFirst().first ?? 0)
                let value = String(decoding: header.dropFirst(2).prefix(width), as: UTF8.self)
                header = header.dropFirst(2 + width)
                if key == ":event-type" || key == ":exception-type" { name = value }
            }
            var payload = Array(rest.dropFirst(12 + headers).prefix(total - 16 - headers))
            // Bedrock's invoke wraps the model's own events.
            if name == "chunk" {
                let text = Generic(json: payload)["bytes"].string ?? ""
                payload = Data(base64Encoded: text).map(Array.init) ?? []
            }
            result.append((name, payload))
            rest = rest.dropFirst(total)
        }
        return result
    }
}
