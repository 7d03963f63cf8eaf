/// Reads a `usage` object in the shapes of the OpenAI-compatible providers.
extension JSONSkimmer {
    /// Reads the value at the position. `nil` in `usage`: null, out of bounds, or without any of the three totals.
    /// - Returns: `false` when the bytes are malformed.
    mutating func readUsage(into usage: inout ReportedUsage?) -> Bool {
        guard self.peekToken() == UInt8(ascii: "{") else { return self.skipValue() }
        self.position &+= 1
        var found = ReportedUsage()
        var isValid = true
        var isFirst = true
        while true {
            switch self.nextField(&isFirst) {
            case .malformed: return false
            case .end:
                let hasTotal = found.promptTokens >= 0 || found.completionTokens >= 0 || found.totalTokens >= 0
                usage = isValid && hasTotal ? found : nil
                return true
            case .item: guard self.readUsageField(&found, &isValid) else { return false }
            }
        }
    }

    @inline(__always)
    private mutating func readUsageField(_ usage: inout ReportedUsage, _ isValid: inout Bool) -> Bool {
        if self.isKey("prompt_tokens") { return self.read(&usage.promptTokens, &isValid) }
        if self.isKey("completion_tokens") { return self.read(&usage.completionTokens, &isValid) }
        if self.isKey("total_tokens") { return self.read(&usage.totalTokens, &isValid) }
        if self.isKey("prompt_tokens_details") { return self.readPromptDetails(&usage, &isValid) }
        if self.isKey("completion_tokens_details") { return self.readCompletionDetails(&usage, &isValid) }
        if self.isKey("prompt_cache_hit_tokens") { return self.read(&usage.promptCacheHitTokens, &isValid) }
        if self.isKey("num_cached_tokens") || self.isKey("cached_tokens") {
            return self.read(&usage.numCachedTokens, &isValid)
        }
        if self.isKey("cost_in_usd_ticks") { return self.read(&usage.costInUSDTicks, &isValid) }
        if self.isKey("cost") { return self.readCost(&usage) }
        return self.skipValue()
    }

    private mutating func readPromptDetails(_ usage: inout ReportedUsage, _ isValid: inout Bool) -> Bool {
        guard self.peekToken() == UInt8(ascii: "{") else { return self.skipValue() }
        self.position &+= 1
        var isFirst = true
        while true {
            switch self.nextField(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item:
                let isRead =
                    if self.isKey("cached_tokens") {
                        self.read(&usage.cachedTokens, &isValid)
                    } else if self.isKey("cache_write_tokens") {
                        self.read(&usage.cacheWriteTokens, &isValid)
                    } else if self.isKey("audio_tokens") {
                        self.read(&usage.promptAudioTokens, &isValid)
                    } else if self.isKey("image_tokens") {
                        self.read(&usage.promptImageTokens, &isValid)
                    } else {
                        self.skipValue()
                    }
                if !isRead { return false }
            }
        }
    }

    private mutating func readCompletionDetails(_ usage: inout ReportedUsage, _ isValid: inout Bool) -> Bool {
        guard self.peekToken() == UInt8(ascii: "{") else { return self.skipValue() }
        self.position &+= 1
        var isFirst = true
        while true {
            switch self.nextField(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item:
                let isRead =
                    if self.isKey("reasoning_tokens") {
                        self.read(&usage.reasoningTokens, &isValid)
                    } else if self.isKey("audio_tokens") {
                        self.read(&usage.completionAudioTokens, &isValid)
                    } else if self.isKey("image_tokens") {
                        self.read(&usage.completionImageTokens, &isValid)
                    } else {
                        self.skipValue()
                    }
                if !isRead { return false }
            }
        }
    }

    /// Reads a count; what is neither a count nor null makes the whole usage invalid, since a wrong bill is worse than
    /// an estimated one.
    @inline(__always)
    private mutating func read(_ count: inout Int64, _ isValid: inout Bool) -> Bool {
        let first = self.peekToken()
        if let value = self.readShortCount(first: first) {
            count = value
            return true
        }
        let start = self.position
        guard self.skipValue() else { return false }
        if first == UInt8(ascii: "n") {
            count = -1
        } else if let value = JSONNumber.count(self.base, start, self.position) {
            count = value
        } else {
            isValid = false
        }
        return true
    }

    /// Reads a plain number of up to nine digits in one go. `nil`, with nothing read: it is anything else.
    @inline(__always)
    private mutating func readShortCount(first: UInt8) -> Int64? {
        guard ByteClass.isDigit(first) else { return nil }
        var value = Int64(first &- UInt8(ascii: "0"))
        var position = self.position &+ 1
        let bound = min(self.end, position &+ 9)
        while position < bound {
            let byte = ByteScan.byte(self.base, position)
            guard ByteClass.isDigit(byte) else {
                guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") else { return nil }
                self.position = position
                return value
            }
            value = value &* 10 &+ Int64(byte &- UInt8(ascii: "0"))
            position &+= 1
        }
        return nil
    }

    /// A number (OpenRouter) or an object with `total_cost` (Perplexity); anything else is ignored.
    private mutating func readCost(_ usage: inout ReportedUsage) -> Bool {
        guard self.peekToken() == UInt8(ascii: "{") else {
            let start = self.position
            guard self.skipValue() else { return false }
            usage.cost = JSONNumber.double(self.base, start, self.position)
            return true
        }
        self.position &+= 1
        var isFirst = true
        while true {
            switch self.nextField(&isFirst) {
            case .malformed: return false
            case .end: return true
            case .item:
                let isTotal = self.isKey("total_cost")
                let start = self.position
                guard self.skipValue() else { return false }
                if isTotal { usage.cost = JSONNumber.double(self.base, start, self.position) }
            }
        }
    }
}
