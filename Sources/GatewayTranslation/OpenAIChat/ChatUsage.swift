import GatewayWire

/// `usage` of OpenAI's chat format and its relatives.
enum ChatUsage {
    /// - Parameter leavesReasoningOut: completion tokens exclude reasoning (xAI).
    static func read(_ value: JSONValue) -> ConversationUsage {
        var usage = ConversationUsage()
        usage.input = value["prompt_tokens"]?.count
        usage.output = value["completion_tokens"]?.count
        if let details = value["prompt_tokens_details"] {
            usage.cachedInput = details["cached_tokens"]?.count
            usage.cacheWriteInput = details["cache_write_tokens"]?.count
            usage.audioInput = details["audio_tokens"]?.count
            usage.imageInput = details["image_tokens"]?.count
        }
        usage.cachedInput =
            usage.cachedInput ?? value["prompt_cache_hit_tokens"]?.count ?? value["num_cached_tokens"]?.count
            ?? value["cached_tokens"]?.count
        // Azure's Grok reports more cached tokens than tokens.
        if let input = usage.input, let cached = usage.cachedInput { usage.cachedInput = min(cached, input) }
        if let details = value["completion_tokens_details"] {
            usage.reasoningOutput = details["reasoning_tokens"]?.count
            usage.audioOutput = details["audio_tokens"]?.count
            usage.imageOutput = details["image_tokens"]?.count
            usage.acceptedPrediction = details["accepted_prediction_tokens"]?.count
            usage.rejectedPrediction = details["rejected_prediction_tokens"]?.count
        }
        self.addReasoningLeftOut(value, &usage)
        usage.serviceTier = ServiceTierNames.priced(value["service_tier"]?.text)
        self.readMoney(value, &usage)
        return usage
    }

    /// OpenRouter's `cost` is a number, Perplexity's an object.
    static func readMoney(_ value: JSONValue, _ usage: inout ConversationUsage) {
        let cost = value["cost"]
        usage.cost = (cost?["total_cost"]?.double ?? cost?.double).flatMap { $0 >= 0 ? $0 : nil }
        usage.costInUSDTicks = value["cost_in_usd_ticks"]?.count
    }

    /// xAI counts reasoning apart: then the total is the sum of all three, which tells.
    private static func addReasoningLeftOut(_ value: JSONValue, _ usage: inout ConversationUsage) {
        guard let input = usage.input, let output = usage.output, let reasoning = usage.reasoningOutput, reasoning > 0,
            let total = value["total_tokens"]?.count, total == input + output + reasoning
        else { return }
        usage.output = output + reasoning
    }

    static func write(_ usage: ConversationUsage, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("prompt_tokens", count: usage.input ?? 0)
        writer.member("completion_tokens", count: usage.output ?? 0)
        writer.member("total_tokens", count: (usage.input ?? 0) + (usage.output ?? 0))
        if usage.cachedInput != nil || usage.cacheWriteInput != nil || usage.audioInput != nil
            || usage.imageInput != nil
        {
            writer.key("prompt_tokens_details")
            writer.beginObject()
            writer.member("cached_tokens", count: usage.cachedInput ?? 0)
            writer.member("cache_write_tokens", countIfPresent: usage.cacheWriteInput)
            writer.member("audio_tokens", countIfPresent: usage.audioInput)
            writer.member("image_tokens", countIfPresent: usage.imageInput)
            writer.endObject()
        }
        if usage.reasoningOutput != nil || usage.audioOutput != nil || usage.imageOutput != nil
            || usage.acceptedPrediction != nil || usage.rejectedPrediction != nil
        {
            writer.key("completion_tokens_details")
            writer.beginObject()
            writer.member("reasoning_tokens", count: usage.reasoningOutput ?? 0)
            writer.member("audio_tokens", countIfPresent: usage.audioOutput)
            writer.member("image_tokens", countIfPresent: usage.imageOutput)
            writer.member("accepted_prediction_tokens", countIfPresent: usage.acceptedPrediction)
            writer.member("rejected_prediction_tokens", countIfPresent: usage.rejectedPrediction)
            writer.endObject()
        }
        writer.endObject()
    }
}

/// `finish_reason` of the chat format.
enum ChatFinish {
    static func read(_ text: JSONText) -> FinishReason {
        if text == "stop" || text == "eos" || text == "eos_token" || text == "stop_sequence" { return .stop }
        if text == "length" || text == "model_length" || text == "max_tokens" { return .length }
        if text == "tool_calls" || text == "function_call" || text == "tool_use" { return .toolCalls }
        if text == "content_filter" || text == "sensitive" { return .contentFilter }
        return text == "error" || text == "network_error" || text == "insufficient_system_resource" ? .error : .stop
    }

    static func name(_ reason: FinishReason) -> StaticString {
        switch reason {
        case .stop, .stopSequence, .malformed, .error: "stop"
        case .length, .contextWindow, .pause: "length"
        case .toolCalls: "tool_calls"
        case .contentFilter, .refusal: "content_filter"
        }
    }
}
