import GatewayRouting
import Logging
import NIOCore
import Synchronization

/// Gets credentials by recipes. Behind a protocol, so that tests decide what comes when.
package protocol CredentialFetching: Sendable {
    /// - Parameter eventLoop: where sockets are to be read; nothing may block on it.
    func fetch(_ recipe: CredentialRecipe, on eventLoop: any EventLoop) async throws(CredentialError)
        -> (credential: FetchedCredential, lifetimeSeconds: Int64?)
}

/// One credential of one recipe, for all deployments and event loops that use it: fetched once at a time, ahead of its
/// end while calls go on with the one before, and kept over reloads of the configuration.
package final class CredentialSource: Sendable {
    package typealias Waiter = @Sendable (Result<FetchedCredential, CredentialError>) -> Void

    private struct Shared {
        var state = CredentialState()
        var waiters: [Waiter] = []
    }

    let recipe: CredentialRecipe
    private let fetcher: any CredentialFetching
    private let shared = Mutex(Shared())
    /// Monotonic nanoseconds.
    private let now: @Sendable () -> UInt64

    package init(
        recipe: CredentialRecipe, fetcher: any CredentialFetching,
        now: @escaping @Sendable () -> UInt64 = { NIODeadline.now().uptimeNanoseconds }
    ) {
        self.recipe = recipe
        self.fetcher = fetcher
        self.now = now
    }

    /// The last one that was fetched. `nil`: none has been.
    package var last: FetchedCredential? { self.shared.withLock { $0.state.credential } }

    /// Whether a credential can be used at once; `nil`: `waiter` hears of one, once, on any thread, after at most
    /// `CredentialClient.timeout` for each server that is asked.
    ///
    /// Calls that wait are bounded by the places of their deployments.
    package func ask(
        on eventLoop: any EventLoop, logger: Logger, waiter: @autoclosure () -> Waiter
    ) -> Result<FetchedCredential, CredentialError>? {
        let now = self.now()
        let answer = self.shared.withLock { shared in
            let answer = shared.state.ask(at: now)
            if case .wait = answer { shared.waiters.append(waiter()) }
            return answer
        }
        switch answer {
        case .use(let credential, let fetches):
            if fetches { self.fetch(on: eventLoop, logger: logger) }
            return .success(credential)
        case .wait(let fetches):
            if fetches { self.fetch(on: eventLoop, logger: logger) }
            return nil
        case .refuse(let error): return .failure(error)
        }
    }

    /// The provider answered that it does not take the credential.
    package func refusedByProvider() {
        let now = self.now()
        self.shared.withLock { $0.state.refusedByProvider(at: now) }
    }

    private func fetch(on eventLoop: any EventLoop, logger: Logger) {
        // Signing and reading files take their time, so not on the event loop.
        Task {
            do throws(CredentialError) {
                let (credential, lifetime) = try await self.fetcher.fetch(self.recipe, on: eventLoop)
                self.finish(.success(credential)) { state, now, random in
                    state.fetched(credential, lifetimeSeconds: lifetime, at: now, random: random)
                }
            } catch {
                logger.warning(
                    "The credentials of a deployment could not be fetched",
                    metadata: ["error.type": "\(error.kind)", "error.message": "\(error.message)"])
                self.finish(.failure(error)) { state, now, random in
                    state.failed(error, at: now, random: random)
                }
            }
        }
    }

    private func finish(
        _ result: Result<FetchedCredential, CredentialError>,
        _ note: (inout CredentialState, _ now: UInt64, _ random: UInt64) -> Void
    ) {
        let now = self.now()
        let random = UInt64.random(in: .min ... .max)
        let waiters = self.shared.withLock { shared in
            note(&shared.state, now, random)
            defer { shared.waiters = [] }
            return shared.waiters
        }
        for waiter in waiters { waiter(result) }
    }
}
