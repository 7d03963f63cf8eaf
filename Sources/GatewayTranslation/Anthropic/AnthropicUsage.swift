import GatewayCore
import GatewayWire

/// `usage` of Anthropic's Messages API: input leaves out what was read from and written to the cache.
struct AnthropicUsage: Sendable {
    private var input: Int64?
    private var cacheRead: Int64?
    private var cacheWrite: Int64?
    private var cacheWriteLong: Int64?
    private var output: Int64?
    private var reasoning: Int64?
    private var webSearches: Int64?
    private var tier: ServiceTier?

    init() {}

    /// Counts that are there replace those of an earlier event.
    mutating func read(_ value: JSONValue) {
        self.input = Self.count(value, { $0["input_tokens"] }) ?? self.input
        self.cacheRead = Self.count(value, { $0["cache_read_input_tokens"] }) ?? self.cacheRead
        self.cacheWrite = Self.count(value, { $0["cache_creation_input_tokens"] }) ?? self.cacheWrite
        self.cacheWriteLong =
            Self.count(value, { $0["cache_creation"]?["ephemeral_1h_input_tokens"] }) ?? self.cacheWriteLong
        self.output = Self.count(value, { $0["output_tokens"] }) ?? self.output
        self.reasoning = value["output_tokens_details"]?["thinking_tokens"]?.count ?? self.reasoning
        self.webSearches = value["server_tool_use"]?["web_search_requests"]?.count ?? self.webSearches
        self.tier = ServiceTierNames.priced(value["service_tier"]?.text) ?? self.tier
        if value["speed"]?.text == "fast" { self.tier = .priority }
    }

    /// The sum over the passes within the provider where it lists them (`iterations`): what stands beside them leaves
    /// out those that compacted the context. `nil`: the count is nowhere.
    private static func count(_ value: JSONValue, _ member: (JSONValue) -> JSONValue?) -> Int64? {
        var sum: Int64?
        for pass in value["iterations"]?.elements ?? value.elements {
            guard let count = member(pass)?.count else { continue }
            sum = min((sum ?? 0) + count, Self.countMax)
        }
        return sum ?? member(value)?.count
    }

    /// No provider counts further, and sums of such counts cannot overflow.
    private static let countMax: Int64 = 1 << 53

    var usage: ConversationUsage {
        var usage = ConversationUsage()
        if self.input != nil || self.cacheRead != nil || self.cacheWrite != nil {
            usage.input = (self.input ?? 0) + (self.cacheRead ?? 0) + (self.cacheWrite ?? 0)
        }
        usage.cachedInput = self.cacheRead
        usage.cacheWriteInput = self.cacheWrite
        usage.cacheWriteLongInput = self.cacheWriteLong
        usage.output = self.output
        usage.reasoningOutput = self.reasoning
        usage.webSearchRequests = self.webSearches
        usage.serviceTier = self.tier
        return usage
    }

    static func write(_ usage: ConversationUsage, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("input_tokens", count: usage.plainInput)
        writer.member("cache_creation_input_tokens", count: usage.cacheWriteInput ?? 0)
        writer.member("cache_read_input_tokens", count: usage.cachedInput ?? 0)
        if let long = usage.cacheWriteLongInput {
            writer.key("cache_creation")
            writer.beginObject()
            writer.member("ephemeral_5m_input_tokens", count: max(0, (usage.cacheWriteInput ?? 0) - long))
            writer.member("ephemeral_1h_input_tokens", count: long)
            writer.endObject()
        }
        writer.member("output_tokens", count: usage.output ?? 0)
        if let reasoning = usage.reasoningOutput {
            writer.key("output_tokens_details")
            writer.beginObject()
            writer.member("thinking_tokens", count: reasoning)
            writer.endObject()
        }
        if let searches = usage.webSearchRequests {
            writer.key("server_tool_use")
            writer.beginObject()
            writer.member("web_search_requests", count: searches)
            writer.endObject()
        }
        writer.endObject()
    }
}

/// `stop_reason` of Anthropic's Messages API.
enum AnthropicFinish {
    static func read(_ text: JSONText) -> FinishReason {
        if text == "end_turn" { return .stop }
        if text == "stop_sequence" { return .stopSequence }
        if text == "max_tokens" { return .length }
        if text == "model_context_window_exceeded" { return .contextWindow }
        if text == "pause_turn" || text == "compaction" { return .pause }
        if text == "tool_use" { return .toolCalls }
        return text == "refusal" ? .refusal : .stop
    }

    static func name(_ reason: FinishReason) -> StaticString {
        switch reason {
        case .stop, .malformed, .error: "end_turn"
        case .stopSequence: "stop_sequence"
        case .length: "max_tokens"
        case .contextWindow: "model_context_window_exceeded"
        case .pause: "pause_turn"
        case .toolCalls: "tool_use"
        case .contentFilter, .refusal: "refusal"
        }
    }
}
