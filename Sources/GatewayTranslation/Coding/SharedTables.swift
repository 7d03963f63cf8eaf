import GatewayCore
import GatewayWire

/// Efforts of thinking and the budgets they stand for. Source: LiteLLM's table.
enum ReasoningEffort {
    private static let budgets: [(name: StaticString, tokens: Int64)] = [
        ("minimal", 1024), ("low", 1024), ("medium", 2048), ("high", 4096), ("xhigh", 8192), ("max", 16384),
    ]

    /// `nil`: no such effort, or none at all.
    static func budget(of effort: JSONText) -> Int64? { self.budgets.first { effort == $0.name }?.tokens }

    static func name(ofBudget tokens: Int64) -> JSONText {
        tokens >= 4096
            ? JSONText("high")
            : tokens >= 2048 ? JSONText("medium") : tokens >= 1024 ? JSONText("low") : JSONText("minimal")
    }
}

/// Names of service tiers.
enum ServiceTierNames {
    /// Anthropic's for OpenAI's. `nil`: it has none.
    static func anthropic(_ tier: JSONText, from format: WireFormat) -> JSONText? {
        if format == .anthropic { return tier }
        if tier == "auto" || tier == "priority" { return JSONText("auto") }
        return tier == "default" ? JSONText("standard_only") : nil
    }

    static func openAI(_ tier: JSONText, from format: WireFormat) -> JSONText? {
        switch format {
        case .openAIChat, .openAIResponses: return tier
        case .anthropic:
            if tier == "standard_only" || tier == "standard" { return JSONText("default") }
            return tier == "auto" || tier == "priority" ? tier : nil
        default:
            if tier == "standard" { return JSONText("default") }
            return tier == "default" || tier == "flex" || tier == "priority" ? tier : nil
        }
    }

    static func bedrock(_ tier: JSONText, from format: WireFormat) -> JSONText? {
        if format == .bedrock { return tier }
        return tier == "default" || tier == "flex" || tier == "priority" ? tier : nil
    }

    /// The tier of the price list. `nil`: none that it tells apart.
    static func priced(_ tier: JSONText?) -> ServiceTier? {
        guard let tier else { return nil }
        if tier == "default" || tier == "standard" { return .standard }
        if tier == "flex" { return .flex }
        if tier == "priority" || tier == "fast" { return .priority }
        return tier == "batch" ? .batch : nil
    }
}

/// JSON Schema and Gemini's subset of OpenAPI, one from the other.
enum SchemaText {
    /// Writes a schema for formats that take JSON Schema. Gemini's type names are in upper case; those are lowered.
    static func write(_ schema: JSONSlice, isOpenAPI: Bool, _ writer: inout JSONWriter) {
        guard isOpenAPI, JSONTree.reading(schema, { self.lower($0, &writer) }) != nil else { return writer.raw(schema) }
    }

    private static func lower(_ value: JSONValue, _ writer: inout JSONWriter) {
        switch value.kind {
        case .object:
            writer.beginObject()
            for member in value.members {
                writer.key(member.key)
                if member.isKey("type"), let type = member.value.text {
                    writer.string(escaping: type.string.lowercased())
                } else {
                    self.lower(member.value, &writer)
                }
            }
            writer.endObject()
        case .array:
            writer.beginArray()
            for element in value.elements { self.lower(element, &writer) }
            writer.endArray()
        default: writer.raw(value.source)
        }
    }

    /// Writes an object schema: `type: object` is added where it is missing, since Anthropic and Bedrock require it.
    static func writeObject(_ schema: JSONSlice?, isOpenAPI: Bool, _ writer: inout JSONWriter) {
        let isWritten =
            schema.flatMap { schema in
                JSONTree.reading(schema) { self.writeObject($0, isOpenAPI: isOpenAPI, &writer) }
            } ?? false
        if !isWritten { writer.raw("{\"type\":\"object\",\"properties\":{}}") }
    }

    /// `false`: no object, and nothing was written.
    private static func writeObject(_ value: JSONValue, isOpenAPI: Bool, _ writer: inout JSONWriter) -> Bool {
        guard value.kind == .object else { return false }
        if value["type"] != nil {
            if isOpenAPI {
                self.lower(value, &writer)
            } else {
                writer.raw(value.source)
            }
            return true
        }
        writer.beginObject()
        writer.member("type", "object")
        for member in value.members where !member.isKey("type") {
            writer.key(member.key)
            if isOpenAPI {
                self.lower(member.value, &writer)
            } else {
                writer.raw(member.value.source)
            }
        }
        writer.endObject()
        return true
    }
}

/// Thinking as Anthropic names it.
enum AnthropicThinking {
    static func mode(_ type: JSONText?) -> ReasoningOptions.Mode? {
        guard let type else { return nil }
        if type == "enabled" { return .enabled }
        if type == "adaptive" || type == "between_tools" { return .adaptive }
        return type == "disabled" ? .disabled : nil
    }
}
