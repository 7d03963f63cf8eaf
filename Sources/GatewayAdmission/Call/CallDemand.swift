import GatewayCore

/// What a call may use, reckoned before it is sent.
package struct CallDemand: Hashable, Sendable {
    /// No attempt of the call can cost more, nano-dollars.
    package var costMax: Int64
    /// What calls like it cost on average, with a margin, nano-dollars.
    package var costExpected: Int64
    package var inputTokens: Int64
    package var outputTokens: Int64

    package init(costMax: Int64, costExpected: Int64, inputTokens: Int64, outputTokens: Int64) {
        self.costMax = costMax
        self.costExpected = costExpected
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }

    /// Enough for either.
    @inline(__always)
    package mutating func grow(to other: CallDemand) {
        self.costMax = max(self.costMax, other.costMax)
        self.costExpected = max(self.costExpected, other.costExpected)
        self.inputTokens = max(self.inputTokens, other.inputTokens)
        self.outputTokens = max(self.outputTokens, other.outputTokens)
    }

    /// At least 1, so that a spent budget refuses calls that cost nothing, too.
    @inline(__always)
    package func amount(_ unit: EscrowUnit, isStrict: Bool) -> Int64 {
        switch unit {
        case .money: max(1, isStrict ? self.costMax : self.costExpected)
        case .permits, .requests: 1
        case .tokens: max(1, self.inputTokens + self.outputTokens)
        case .inputTokens: max(1, self.inputTokens)
        case .outputTokens: max(1, self.outputTokens)
        }
    }
}

/// What an attempt has used.
package struct CallCharge: Hashable, Sendable {
    package var cost: NanoUSD
    package var inputTokens: Int64
    package var outputTokens: Int64

    package init(cost: NanoUSD, inputTokens: Int64, outputTokens: Int64) {
        self.cost = cost
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }

    @inline(__always)
    func amount(_ unit: EscrowUnit) -> Int64 {
        let most = EscrowTerms.limitMax
        return switch unit {
        case .money: max(0, min(self.cost.rawValue, most))
        case .permits, .requests: 0
        case .tokens: max(0, min(self.inputTokens, most / 2)) + max(0, min(self.outputTokens, most / 2))
        case .inputTokens: max(0, min(self.inputTokens, most))
        case .outputTokens: max(0, min(self.outputTokens, most))
        }
    }
}
