import GatewayCore

extension PayerIdentity {
    /// The `number`-th of a row of made-up payers; every third has neither user nor team.
    package static func sample(_ number: Int = 1) -> PayerIdentity {
        let word = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        return PayerIdentity(
            keyID: VirtualKeyID(UUIDBits(high: 0x7000, low: UInt64(number))),
            digest: KeyDigest((word, word &+ 1, word &+ 2, word &+ 3)),
            userID: number % 3 == 0 ? nil : "user-\(number)", teamID: number % 3 == 0 ? nil : "team-\(number % 5)")
    }
}

extension RouteIdentity {
    /// The `number`-th of a row of made-up routes.
    package static func sample(_ number: Int = 1) -> RouteIdentity {
        RouteIdentity(
            modelGroup: "group-\(number)", model: "gpt-sample-\(number)", provider: "openai",
            deploymentID: "deployment-\(number)", priceVersion: "2026-11-22")
    }
}

extension RequestID {
    /// The `number`-th of a row of made-up requests.
    package static func sample(_ number: Int) -> RequestID {
        RequestID(UUIDBits(high: 0x0191_0000_0000_7000, low: 0x8000_0000_0000_0000 | UInt64(number)))
    }
}

extension UsageIntent {
    /// A made-up attempt that would cost 1,000 nano-dollars if its pod died.
    package static func sample(
        _ number: Int, attempt: UInt8 = 0, payer: PayerIdentity = .sample(), route: RouteIdentity = .sample()
    ) -> UsageIntent {
        UsageIntent(
            requestID: .sample(number), attempt: attempt, payer: payer, route: route, kind: .chatCompletion,
            isStream: number % 2 == 0, startedAt: UnixMicroseconds(rawValue: 1_795_348_800_000_000 + Int64(number)),
            orphanUsage: TokenUsage(input: 20, output: 40), orphanCost: NanoUSD(rawValue: 1000),
            isUnpriced: number % 7 == 0)
    }
}

extension UsageEvent {
    /// How a made-up attempt ended: finished and measured, at a cost of 10 nano-dollars for each number.
    package static func sample(
        _ number: Int, attempt: UInt8 = 0, payer: PayerIdentity = .sample(), route: RouteIdentity = .sample()
    ) -> UsageEvent {
        var usage = TokenUsage(input: Int64(100 + number % 50), output: Int64(10 + number % 30))
        usage.cachedInput = Int64(number % 20)
        usage.reasoningOutput = Int64(number % 4)
        return UsageEvent(
            requestID: .sample(number), attempt: attempt, payer: payer, route: route, kind: .chatCompletion,
            isStream: number % 2 == 0, startedAt: UnixMicroseconds(rawValue: 1_795_348_800_000_000 + Int64(number)),
            durationMicroseconds: 812_345, firstByteMicroseconds: 212_345, usage: usage, serviceTier: .standard,
            cost: NanoUSD(rawValue: Int64(number) * 10), status: 200, outcome: .finished, flags: .measured,
            endUser: number % 4 == 0 ? "end-user-\(number)" : nil)
    }

    /// An event with any values in any field, extremes and hostile text included.
    package static func random(
        _ number: Int, payer: PayerIdentity, route: RouteIdentity, using generator: inout some RandomNumberGenerator
    ) -> UsageEvent {
        func amount(_ generator: inout some RandomNumberGenerator) -> Int64 {
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: .max
            case 1: .min
            case 2, 3: 0
            default: Int64.random(in: -5...200_000, using: &generator)
            }
        }
        var event = UsageEvent.sample(number, payer: payer, route: route)
        event.attempt = UInt8.random(in: 0...255, using: &generator)
        event.kind = CallKind.allCases.randomElement(using: &generator) ?? .completion
        event.isStream = Bool.random(using: &generator)
        event.startedAt = UnixMicroseconds(rawValue: amount(&generator))
        event.durationMicroseconds = amount(&generator)
        event.firstByteMicroseconds = amount(&generator)
        for field in TokenUsage.fields { event.usage[keyPath: field] = amount(&generator) }
        event.serviceTier = ServiceTier.allCases.randomElement(using: &generator) ?? .flex
        event.cost = NanoUSD(rawValue: amount(&generator))
        event.status = UInt16.random(in: 0...UInt16.max, using: &generator)
        event.outcome = AttemptOutcome.allCases.randomElement(using: &generator) ?? .timedOut
        event.flags = UsageFlags(rawValue: UInt16.random(in: 0...31, using: &generator))
        event.endUser =
            [nil, "", "ünï\u{0}\"\n,🙂", String(repeating: "x", count: 512)].randomElement(using: &generator) ?? nil
        return event
    }
}

extension TokenUsage {
    /// Every field, in the order of declaration.
    package static var fields: [WritableKeyPath<TokenUsage, Int64>] {
        [
            \.input, \.cachedInput, \.cacheWriteInput, \.cacheWriteLongInput, \.audioInput, \.imageInput, \.output,
            \.reasoningOutput, \.audioOutput, \.imageOutput,
        ]
    }
}
