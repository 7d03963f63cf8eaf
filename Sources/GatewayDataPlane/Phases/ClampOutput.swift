import GatewayAdmission
import GatewayCore
import GatewayWire
import NIOCore

/// Where a strict budget affords a call, but not all the output that it may ask for: the call's bound on output tokens
/// is lowered to what is left, if the setting allows it; the answer says so in a header.
extension Call {
    /// What is left changes while a call waits.
    private static let clampsMax: UInt8 = 3

    /// `false`: the setting is off, too little is left, or the body's format has no place that could be changed.
    func clampOutput(to account: EscrowAccount, _ group: TargetGroup) -> Bool {
        let least = Int64(self.loop.configuration.clampedOutputTokensMin)
        guard least > 0, self.clampCount < Self.clampsMax, account.unit == .money, account.terms.isStrict,
            let name = self.outputField(group)
        else { return false }
        let choices = max(1, min(self.scan.choiceCount, 128))
        let available = account.available
        func isAfforded(_ tokens: Int64) -> Bool {
            group.targets.allSatisfy { target in
                guard let price = target.deployment.priceBox else { return true }
                return self.costMax(target, price, choices: choices, output: tokens) <= available
            }
        }
        let cap = group.targets.compactMap { $0.deployment.price?.maxOutputTokens }.max()
        let asked =
            self.scan.maxTokens >= 0 ? self.scan.maxTokens : cap ?? Int64(self.loop.configuration.outputTokensCap)
        guard asked > least, isAfforded(least), !isAfforded(asked) else { return false }
        var (low, high) = (least, asked)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if isAfforded(middle) { low = middle } else { high = middle }
        }
        guard self.setOutputBound(low, name) else { return false }
        self.clampCount += 1
        self.rateLines = Array("x-martlet-clamped-max-tokens: \(low)\r\n".utf8)
        return true
    }

    /// Names of the bound in the call's format, that to be added first. `nil`: it is not at the body's top.
    private func outputField(_ group: TargetGroup) -> [StaticString]? {
        // Ollama has its own place for it, Cohere knows one name alone.
        if self.origin?.format != nil || self.meter != nil || self.isCounting { return nil }
        return switch self.kind {
        case .chatCompletion:
            // OpenAI's reasoning models know the long name only, many others only the short one.
            group.targets.contains { ["openai", "azure"].contains($0.deployment.configuration.provider) }
                ? ["max_completion_tokens", "max_tokens"] : ["max_tokens", "max_completion_tokens"]
        case .completion, .messages: ["max_tokens"]
        case .responses: ["max_output_tokens"]
        default: nil
        }
    }

    /// Writes the bound into the body, so that every deployment and every format that it is translated to has it.
    private func setOutputBound(_ tokens: Int64, _ names: [StaticString]) -> Bool {
        let former = (body: self.body, scan: self.scan)
        let number = Array(String(tokens).utf8)
        let edited = self.body.withUnsafeReadableBytes { bytes -> ByteBuffer? in
            let tree = JSONTree()
            guard let root = try? tree.read(bytes), let base = bytes.baseAddress else { return nil }
            defer { withExtendedLifetime(tree) {} }
            var ranges: [Range<Int>] = []
            for member in root.members where names.contains(where: { member.isKey($0) }) {
                let start = member.value.source.start - base
                ranges.append(start..<start + member.value.source.count)
            }
            var buffer = ByteBufferAllocator().buffer(capacity: bytes.count + 64)
            var position = 0
            for range in ranges {
                buffer.writeBytes(bytes[position..<range.lowerBound])
                buffer.writeBytes(number)
                position = range.upperBound
            }
            if ranges.isEmpty {
                buffer.writeBytes(bytes[position..<self.scan.objectEnd])
                buffer.writeString(self.scan.topLevelFieldCount > 0 ? "," : "")
                buffer.writeString("\"\(names[0])\":")
                buffer.writeBytes(number)
                position = self.scan.objectEnd
            }
            buffer.writeBytes(bytes[position...])
            return buffer
        }
        guard let edited else { return false }
        self.body = edited
        if case .success(let scan) = self.body.withUnsafeReadableBytes({ JSONScanner.scanRequest($0) }) {
            self.scan = scan
            let isWhole = !self.hasFormatFacts || self.readFormatFacts() == nil
            if isWhole, self.scan.maxTokens == tokens { return true }
        }
        (self.body, self.scan) = former
        return false
    }
}
