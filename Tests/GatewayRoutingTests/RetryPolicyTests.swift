import GatewayCore
import GatewayRouting
import Testing

@Suite("The retry policy")
struct RetryPolicyTests {
    private static let failures: [AttemptOutcome] = [.connectFailed, .timedOut, .upstreamCut, .responseInvalid]

    @Test("tries again what failed at the provider, as often as configured", arguments: Self.failures)
    func retries(outcome: AttemptOutcome) {
        let policy = RetryPolicy(retriesMax: 2)
        for made in 1...2 {
            #expect(
                policy.decide(after: outcome, status: 0, attemptsInGroup: made, answerBegan: false, groupsLeft: 1)
                    == .retry)
        }
        #expect(
            policy.decide(after: outcome, status: 0, attemptsInGroup: 3, answerBegan: false, groupsLeft: 1) == .fallBack
        )
        #expect(
            policy.decide(after: outcome, status: 0, attemptsInGroup: 3, answerBegan: false, groupsLeft: 0) == .giveUp)
    }

    @Test("tries nothing again once the caller has seen a byte", arguments: AttemptOutcome.allCases)
    func answerBegan(outcome: AttemptOutcome) {
        let decision = RetryPolicy(retriesMax: 9).decide(
            after: outcome, status: 503, attemptsInGroup: 1, answerBegan: true, groupsLeft: 3)
        #expect(decision == .giveUp)
    }

    @Test("tries nothing again for a caller that has left or a pod that goes")
    func ownEnds() {
        for outcome in [AttemptOutcome.finished, .callerLeft, .draining, .podDied] {
            let decision = RetryPolicy(retriesMax: 9).decide(
                after: outcome, status: 0, attemptsInGroup: 1, answerBegan: false, groupsLeft: 3)
            #expect(decision == .giveUp)
        }
    }

    @Test("tells refusals that may pass from those that will not")
    func statuses() {
        let retryable = Set([408, 409, 429] + Array(500...599))
        for status in 100...599 {
            #expect(RetryPolicy.isRetryable(status: status) == retryable.contains(status))
            let decision = RetryPolicy(retriesMax: 1).decide(
                after: .upstreamRefused, status: status, attemptsInGroup: 1, answerBegan: false, groupsLeft: 1)
            #expect(decision == (retryable.contains(status) ? .retry : .giveUp))
        }
    }

    @Test("without retries goes straight to the next group")
    func noRetries() {
        let policy = RetryPolicy(retriesMax: 0)
        #expect(
            policy.decide(after: .upstreamRefused, status: 500, attemptsInGroup: 1, answerBegan: false, groupsLeft: 1)
                == .fallBack)
        #expect(
            policy.decide(after: .upstreamRefused, status: 500, attemptsInGroup: 1, answerBegan: false, groupsLeft: 0)
                == .giveUp)
    }
}
