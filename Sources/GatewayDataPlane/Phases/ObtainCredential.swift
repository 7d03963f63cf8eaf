import GatewayCore
import GatewayRouting
import NIOCore

/// Between phases 3 and 4, where a deployment's credential is fetched: most calls find one that is fresh, the others
/// wait for it as they wait for a connection.
extension Call {
    /// Whether the attempt can go on at once. `false`: it goes on when there is a credential, or has failed.
    func hasCredential(for target: Target) -> Bool {
        guard let credentials = target.deployment.credentials else { return true }
        let bound = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let (loop, attempt) = (self.loop.eventLoop, self.attempt)
        // Before asking, since the answer may come from another thread at once.
        self.phase = .connecting
        let answer = credentials.ask(
            on: loop, logger: self.loop.logger,
            waiter: { result in
                loop.execute { bound.value.credentialCame(result, attempt: attempt) }
            })
        switch answer {
        case .success?: return true
        case .failure(let error)?:
            self.credentialFailed(error, attempt: attempt)
            return false
        case nil: return false
        }
    }

    private func credentialCame(_ result: Result<FetchedCredential, CredentialError>, attempt: Int) {
        guard case .connecting = self.phase, attempt == self.attempt, let target = self.target else { return }
        switch result {
        case .success: self.openConnection(to: target, now: self.loop.nanoseconds())
        case .failure(let error): self.credentialFailed(error, attempt: attempt)
        }
    }

    /// Nothing was sent: booked as an attempt that could not connect, and the deployment cools down as after one.
    private func credentialFailed(_ error: CredentialError, attempt: Int) {
        guard case .connecting = self.phase, attempt == self.attempt, let target = self.target else { return }
        self.attemptStartedAt = self.loop.nanoseconds()
        guard self.recordIntent(to: target) else { return }
        self.settle(.connectFailed, status: 0, reported: nil, contentBytes: 0)
        let isLast = self.group.map { $0.targets.count == 1 || self.triedTargets.count >= $0.targets.count } ?? true
        if error.kind == .refused, isLast {
            // The same deployments would be refused again.
            self.attemptsInGroup = max(self.attemptsInGroup, self.loop.snapshot.retry.retriesMax + 1)
        }
        self.attemptFailed(.connectFailed, status: 0, retryAfter: nil, error: error.gatewayError)
    }

    /// The provider refused what authenticated the call: what was fetched may have been revoked.
    func noteRefusedCredential(status: Int) {
        guard status == 401 || status == 403 else { return }
        self.target?.deployment.credentials?.refusedByProvider()
    }
}
