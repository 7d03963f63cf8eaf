import GatewayCore
import GatewayLedger

/// Deterministic events for the conformance suite of ledger stores.
package enum LedgerSample {
    /// Text that has broken stores before.
    package static let hostileTexts = [
        "", "'; DROP TABLE usage; --", "\"quoted\"", "nul\u{0}inside", "\u{0}", "emoji 👩‍👩‍👧 and ﷽", "=1+1", "%_*?",
        "line\r\nbreak", String(repeating: "long", count: 20_000),
    ]

    package static func journal(_ number: UInt64) -> JournalID { JournalID(UUIDBits(high: 0x7000, low: number)) }

    package static func payer(_ number: UInt64, user: String? = "user", team: String? = nil) -> PayerIdentity {
        PayerIdentity(
            keyID: VirtualKeyID(UUIDBits(high: 0x4000, low: number)),
            digest: KeyDigest((number, ~number, number << 32, .max)), userID: user, teamID: team)
    }

    package static func route(_ group: String) -> RouteIdentity {
        RouteIdentity(
            modelGroup: group, model: "\(group)-1", provider: "openai", deploymentID: "deployment-\(group)",
            priceVersion: "2026-11-22")
    }

    private static let startOfTime: Int64 = 1_763_800_000_000_000

    /// Time-ordered by `number`.
    package static func requestID(_ number: Int64) -> RequestID {
        RequestID(
            UUIDBits(
                high: UInt64(bitPattern: Self.startOfTime / 1000 + number) << 16 | 0x7ABC,
                low: 0x8000_0000_0000_0000 | UInt64(bitPattern: number) & 0xFFFF_FFFF))
    }

    package static func event(
        _ number: Int64, payer: PayerIdentity, route: RouteIdentity, flags: UsageFlags = .measured,
        endUser: String? = nil
    ) -> UsageEvent {
        UsageEvent(
            requestID: Self.requestID(number), attempt: 0, payer: payer, route: route, kind: .chatCompletion,
            isStream: number % 2 == 0, startedAt: UnixMicroseconds(rawValue: Self.startOfTime + number * 1000),
            durationMicroseconds: 1000 + number, firstByteMicroseconds: number % 3 == 0 ? -1 : number,
            usage: TokenUsage(input: 100 + number, output: 10 + number), serviceTier: .standard,
            cost: NanoUSD(rawValue: 1_000_003 * (number + 1)), status: 200, outcome: .finished, flags: flags,
            endUser: endUser)
    }

    package static func events(_ count: Int, from first: Int64 = 0) -> [UsageEvent] {
        let payers = (1...7 as ClosedRange<UInt64>).map { Self.payer($0) }
        let routes = ["a", "b", "c"].map { Self.route($0) }
        return (0..<count).map { index in
            Self.event(first + Int64(index), payer: payers[index % 7], route: routes[index % 3])
        }
    }

    /// Every value of every closed set, every token kind, over three days; the identities as equal but other objects.
    package static func variedEvents() -> [UsageEvent] {
        let outcomes = AttemptOutcome.allCases
        let (kinds, tiers) = (CallKind.allCases, ServiceTier.allCases)
        return (0..<90).map { index in
            var event = Self.event(
                Int64(index),
                payer: Self.payer(UInt64(index % 4), user: index % 2 == 0 ? nil : "", team: "t\(index % 3)"),
                route: Self.route("m\(index % 5)"), flags: UsageFlags(rawValue: UInt16(index % 32)),
                endUser: index % 6 == 0 ? "end \(index)" : nil)
            event.attempt = index % 9 == 0 ? 255 : UInt8(index % 4)
            event.kind = kinds[index % kinds.count]
            event.serviceTier = tiers[index % tiers.count]
            event.outcome = outcomes[index % outcomes.count]
            event.status = index % 10 == 0 ? .max : UInt16(400 + index)
            event.startedAt = event.startedAt.advanced(bySeconds: Int64(index % 3) * 86_400)
            event.usage.cachedInput = Int64(index)
            event.usage.reasoningOutput = Int64(index % 5)
            event.usage.cacheWriteInput = Int64(index % 2)
            event.usage.cacheWriteLongInput = Int64(index % 3)
            event.usage.audioInput = Int64(index % 4)
            event.usage.imageInput = Int64(index % 5)
            event.usage.audioOutput = Int64(index % 6)
            event.usage.imageOutput = Int64(index % 7)
            return event
        }
    }

    /// Every field as text, for comparing two events in one expectation.
    package static func fields(_ event: UsageEvent) -> [String] {
        [
            event.requestID.text, "\(event.attempt)", event.payer.keyID.text, event.payer.digest.hex,
            String(reflecting: event.payer.userID), String(reflecting: event.payer.teamID), event.route.modelGroup,
            event.route.model, event.route.provider, event.route.deploymentID, event.route.priceVersion,
            event.kind.name, "\(event.isStream)", "\(event.startedAt.rawValue)", "\(event.durationMicroseconds)",
            "\(event.firstByteMicroseconds)", "\(event.usage)", "\(event.serviceTier)", "\(event.cost.rawValue)",
            "\(event.status)", event.outcome.name, "\(event.flags.rawValue)", String(reflecting: event.endUser),
        ]
    }

    package static func allRows(_ store: any LedgerStore) async throws -> [UsageRow] {
        try await store.usage(UsageQuery(newestFirst: false, limit: 100_000))
    }
}
