import GatewayCore
import GatewayLedger

/// A usage row in the shape of LiteLLM's spend logs. Pure.
enum SpendLogRendering {
    static func row(_ event: UsageEvent) -> JSONValue {
        let usage = event.usage
        let firstByte = event.firstByteMicroseconds < 0 ? nil : Self.time(event, event.firstByteMicroseconds)
        return .object([
            JSONMember("request_id", .string(event.requestID.text)), JSONMember("call_type", .string(event.kind.name)),
            JSONMember("api_key", .string(event.payer.digest.hex)), JSONMember("spend", .money(event.cost)),
            JSONMember("total_tokens", .integer(saturatingSum(usage.input, usage.output))),
            JSONMember("prompt_tokens", .integer(usage.input)),
            JSONMember("completion_tokens", .integer(usage.output)),
            JSONMember("startTime", .string(Self.time(event, 0))),
            JSONMember("endTime", .string(Self.time(event, event.durationMicroseconds))),
            JSONMember("completionStartTime", .optional(firstByte)),
            JSONMember("request_duration_ms", .integer(event.durationMicroseconds / 1000)),
            JSONMember("model", .string(event.route.model)), JSONMember("model_id", .string(event.route.deploymentID)),
            JSONMember("model_group", .string(event.route.modelGroup)),
            JSONMember("custom_llm_provider", .string(event.route.provider)),
            JSONMember("user", .string(event.payer.userID ?? "")), JSONMember("team_id", .optional(event.payer.teamID)),
            JSONMember("end_user", .string(event.endUser ?? "")),
            JSONMember("status", .string(Self.isFailure(event) ? "failure" : "success")),
            JSONMember("cache_hit", .string("False")), JSONMember("request_tags", .array([])),
            JSONMember("metadata", Self.metadata(event)),
        ])
    }

    static func isFailure(_ event: UsageEvent) -> Bool { event.flags.contains(.error) }

    /// The time so many microseconds after the start, kept within four-digit years whatever the row says.
    private static func time(_ event: UsageEvent, _ microseconds: Int64) -> String {
        let time = saturatingSum(event.startedAt.rawValue, microseconds)
        return UnixMicroseconds(rawValue: min(max(time, 0), Self.lastMicrosecond)).iso8601
    }

    /// The end of the year 9999.
    private static let lastMicrosecond: Int64 = 253_402_300_799_999_999

    /// What LiteLLM's columns have no place for.
    private static func metadata(_ event: UsageEvent) -> JSONValue {
        .object([
            JSONMember("attempt", .integer(event.attempt)), JSONMember("flags", .strings(event.flags.names)),
            JSONMember("outcome", .string(event.outcome.name)), JSONMember("upstream_status", .integer(event.status)),
            JSONMember("stream", .bool(event.isStream)), JSONMember("cached_tokens", .integer(event.usage.cachedInput)),
            JSONMember(
                "cache_write_tokens",
                .integer(saturatingSum(event.usage.cacheWriteInput, event.usage.cacheWriteLongInput))),
            JSONMember("reasoning_tokens", .integer(event.usage.reasoningOutput)),
            JSONMember("price_version", .string(event.route.priceVersion)),
            JSONMember("cost_nanos", .integer(event.cost.rawValue)),
        ])
    }
}

/// LiteLLM's daily summary of spend: money by key, user and model for each day (UTC).
struct SpendSummary: Sendable {
    private struct Day {
        var spend = NanoUSD.zero
        var keys: [String: NanoUSD] = [:]
        var users: [String: NanoUSD] = [:]
        var models: [String: NanoUSD] = [:]

        mutating func add(_ event: UsageEvent) {
            Self.add(event.cost, to: &self.spend)
            Self.add(event.cost, to: &self.keys[event.payer.digest.hex, default: .zero])
            Self.add(event.cost, to: &self.users[event.payer.userID ?? "", default: .zero])
            Self.add(event.cost, to: &self.models[event.route.model, default: .zero])
        }

        private static func add(_ cost: NanoUSD, to sum: inout NanoUSD) {
            sum.rawValue = saturatingSum(sum.rawValue, cost.rawValue)
        }
    }

    private var days: [Int64: Day] = [:]

    mutating func add(_ event: UsageEvent) { self.days[event.startedAt.day, default: Day()].add(event) }

    var value: JSONValue {
        .array(
            self.days.sorted { $0.key < $1.key }.map { number, day in
                .object(
                    [
                        JSONMember("users", Self.object(day.users)), JSONMember("models", Self.object(day.models)),
                        JSONMember("spend", .money(day.spend)),
                    ] + day.keys.sorted { $0.key < $1.key }.map { JSONMember($0.key, .money($0.value)) } + [
                        JSONMember("startTime", .string(Self.text(day: number)))
                    ])
            })
    }

    private static func text(day: Int64) -> String {
        String(UnixMicroseconds(rawValue: day * 86_400_000_000).iso8601.prefix(10))
    }

    private static func object(_ sums: [String: NanoUSD]) -> JSONValue {
        .object(sums.sorted { $0.key < $1.key }.map { JSONMember($0.key, .money($0.value)) })
    }
}

/// A sum that stops at the end of the range: a damaged row must not bring a report down.
func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, isOver) = a.addingReportingOverflow(b)
    return isOver ? (a < 0 ? .min : .max) : sum
}
