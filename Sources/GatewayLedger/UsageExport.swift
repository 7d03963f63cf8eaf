import GatewayCore

/// Renders usage rows for people and scripts, one attempt per line, with the same fields as JSON and as CSV.
package enum UsageExport {
    private enum Value {
        case text(String)
        case optional(String?)
        case number(Int64)
        /// A number that is written exactly as it stands.
        case decimal(String)
        case flag(Bool)
        case list([String])
    }

    private static let names = [
        "request_id", "attempt", "started_at", "model", "model_group", "provider", "api_key", "user_id", "team_id",
        "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
        "audio_tokens", "cost_nanos", "spend", "status", "result", "outcome", "flags", "price_version",
        "duration_ms", "ttft_ms", "stream", "call_type", "end_user", "deployment_id",
    ]

    /// In the order of `names`.
    private static func values(_ event: UsageEvent) -> [Value] {
        let usage = event.usage
        return [
            .text(event.requestID.text), .number(Int64(event.attempt)), .text(event.startedAt.iso8601),
            .text(event.route.model), .text(event.route.modelGroup), .text(event.route.provider),
            .text(event.payer.digest.hex), .optional(event.payer.userID), .optional(event.payer.teamID),
            .number(usage.input), .number(usage.output), .number(usage.cachedInput),
            .number(usage.cacheWriteInput &+ usage.cacheWriteLongInput), .number(usage.reasoningOutput),
            .number(usage.audioInput &+ usage.audioOutput), .number(event.cost.rawValue),
            .decimal(event.cost.decimalText), .number(Int64(event.status)),
            .text(event.flags.contains(.error) || event.outcome != .finished ? "failure" : "success"),
            .text(event.outcome.name), .list(event.flags.names), .text(event.route.priceVersion),
            .decimal(milliseconds(event.durationMicroseconds)),
            event.firstByteMicroseconds < 0
                ? .optional(nil) : .decimal(milliseconds(event.firstByteMicroseconds)),
            .flag(event.isStream), .text(event.kind.name), .optional(event.endUser),
            .text(event.route.deploymentID),
        ]
    }

    /// One JSON object without the line's end. `ttft_ms`, `user_id`, `team_id` and `end_user` may be null.
    package static func jsonLine(_ row: UsageRow) -> String {
        var line = "{"
        for (name, value) in zip(self.names, self.values(row.event)) {
            if line.utf8.count > 1 { line += "," }
            line += "\"\(name)\":"
            switch value {
            case .text(let text): line += jsonQuoted(text)
            case .optional(let text): line += text.map(jsonQuoted) ?? "null"
            case .number(let number): line += String(number)
            case .decimal(let text): line += text
            case .flag(let flag): line += flag ? "true" : "false"
            case .list(let texts): line += "[" + texts.map(jsonQuoted).joined(separator: ",") + "]"
            }
        }
        return line + "}"
    }

    /// Names of the CSV columns, without the line's end.
    package static var csvHeader: String { self.names.joined(separator: ",") }

    /// One CSV record (RFC 4180) without the line's end; what is null in JSON is empty.
    package static func csvLine(_ row: UsageRow) -> String {
        let fields = self.values(row.event).map { value in
            switch value {
            case .text(let text): self.csvField(text)
            case .optional(let text): self.csvField(text ?? "")
            case .number(let number): String(number)
            case .decimal(let text): text
            case .flag(let flag): flag ? "true" : "false"
            case .list(let texts): texts.joined(separator: "|")
            }
        }
        return fields.joined(separator: ",")
    }

    private static func csvField(_ text: String) -> String {
        let special: Set<UInt8> = [
            UInt8(ascii: ","), UInt8(ascii: "\""), UInt8(ascii: "\n"), UInt8(ascii: "\r"),
        ]
        guard text.utf8.contains(where: special.contains) else { return text }
        var field = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" { field.unicodeScalars.append("\"") }
            field.unicodeScalars.append(scalar)
        }
        return field + "\""
    }

    /// Exact decimal milliseconds, such as `812.345`.
    private static func milliseconds(_ microseconds: Int64) -> String {
        let magnitude = microseconds.magnitude
        let fraction = String(magnitude % 1000)
        let sign = microseconds < 0 ? "-" : ""
        if magnitude % 1000 == 0 { return "\(sign)\(magnitude / 1000)" }
        return "\(sign)\(magnitude / 1000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
    }
}
