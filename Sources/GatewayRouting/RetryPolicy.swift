import GatewayCore

/// Decides what follows a failed attempt. Pure: the data plane carries it out.
package struct RetryPolicy: Sendable {
    package enum Decision: Sendable, Equatable {
        /// Another attempt in the same group, on another deployment where there is one.
        case retry
        /// The next group of the fallback chain.
        case fallBack
        /// The caller gets the failure.
        case giveUp
    }

    /// Further attempts per group, 0...10.
    package let retriesMax: Int
    /// Groups tried at most in one call, the first included.
    package static let groupsMax = 6

    package init(retriesMax: Int) { self.retriesMax = retriesMax }

    /// Whether a provider's status says that the same request may succeed elsewhere or later (LiteLLM's rule).
    package static func isRetryable(status: Int) -> Bool {
        status == 408 || status == 409 || status == 429 || status >= 500
    }

    /// - Parameters:
    ///   - outcome: how the attempt ended.
    ///   - status: the provider's status, 0: none came.
    ///   - attemptsInGroup: attempts made in this group, the failed one included.
    ///   - answerBegan: whether the caller has seen any byte; then nothing can be tried again.
    package func decide(
        after outcome: AttemptOutcome, status: Int, attemptsInGroup: Int, answerBegan: Bool, groupsLeft: Int
    ) -> Decision {
        guard !answerBegan else { return .giveUp }
        switch outcome {
        case .finished, .callerLeft, .podDied, .draining: return .giveUp
        case .connectFailed, .timedOut, .upstreamCut, .responseInvalid: break
        case .upstreamRefused:
            guard Self.isRetryable(status: status) else { return .giveUp }
        }
        if attemptsInGroup <= self.retriesMax { return .retry }
        return groupsLeft > 0 ? .fallBack : .giveUp
    }
}
