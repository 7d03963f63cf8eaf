/// Decides when a credential is used, fetched and given up. Pure; times are monotonic nanoseconds.
///
///     none ──ask: fetch, wait──► fetching ──fetched──► fresh ──refreshAt: use, fetch──► stale ──fetched──► fresh
///       ▲                           │ failed                                             │ expiresAt
///       └──── refuse until retryAt ◄┘                         ask: fetch, wait ◄─────────┘
package struct CredentialState {
    package enum Answer: Hashable {
        /// - Parameter fetches: the caller is to start a fetch, for which nobody waits.
        case use(FetchedCredential, fetches: Bool)
        /// - Parameter fetches: the caller is to start the fetch that is waited for; else one runs already.
        case wait(fetches: Bool)
        case refuse(CredentialError)
    }

    /// The last one that was fetched, however old.
    package private(set) var credential: FetchedCredential?
    private var fetchedAt: UInt64 = 0
    private var refreshAt: UInt64 = 0
    private var expiresAt: UInt64 = 0
    private var isFetching = false
    /// Fetches that have failed one after the other.
    private var failures = 0
    private var retryAt: UInt64 = 0
    private var lastError: CredentialError?

    package init() {}

    /// Where the server does not say how long a token lives.
    package static let unknownLifetimeSeconds: Int64 = 300
    /// No longer, whatever the server says.
    private static let lifetimeSecondsMax: Int64 = 86_400
    /// A request that is on its way needs the token a little longer; clocks differ, too.
    private static let marginNanoseconds: UInt64 = 10_000_000_000
    private static let pauseMax: UInt64 = 30_000_000_000
    private static let pauseMin: UInt64 = 250_000_000
    /// A refusal by the provider makes a credential void only if it is older: else a call that the provider always
    /// refuses would fetch a token each time.
    private static let refusableAge: UInt64 = 30_000_000_000

    package mutating func ask(at now: UInt64) -> Answer {
        if let credential, now < self.expiresAt {
            let fetches = now >= self.refreshAt && now >= self.retryAt && !self.isFetching
            if fetches { self.isFetching = true }
            return .use(credential, fetches: fetches)
        }
        if self.isFetching { return .wait(fetches: false) }
        if let lastError, now < self.retryAt { return .refuse(lastError) }
        self.isFetching = true
        return .wait(fetches: true)
    }

    /// - Parameters:
    ///   - lifetimeSeconds: from now. `nil`: not known.
    ///   - random: spreads the refreshes of many pods over a tenth of the lifetime.
    package mutating func fetched(
        _ credential: FetchedCredential, lifetimeSeconds: Int64?, at now: UInt64, random: UInt64
    ) {
        let seconds = max(0, min(lifetimeSeconds ?? Self.unknownLifetimeSeconds, Self.lifetimeSecondsMax))
        let lifetime = UInt64(seconds) * 1_000_000_000
        self.credential = credential
        self.fetchedAt = now
        self.expiresAt = now &+ lifetime &- min(Self.marginNanoseconds, lifetime / 10)
        // Between 70 and 80 percent of its life.
        self.refreshAt = now &+ lifetime / 10 * 7 &+ lifetime / 10 / 1024 * (random & 1023)
        // One that lives for less than a moment must not be fetched by every call.
        self.retryAt = now &+ Self.pauseMin
        self.isFetching = false
        self.failures = 0
        self.lastError = nil
    }

    package mutating func failed(_ error: CredentialError, at now: UInt64, random: UInt64) {
        self.isFetching = false
        self.lastError = error
        self.failures = min(self.failures + 1, 16)
        // Who says no goes on to say it for a while.
        let base = error.kind == .refused ? Self.pauseMin * 8 : Self.pauseMin
        let pause = min(Self.pauseMax, base << UInt64(min(self.failures - 1, 8)))
        self.retryAt = now &+ pause / 4 * 3 &+ pause / 4096 * (random & 1023)
    }

    /// The provider did not take the credential: it may have been revoked.
    package mutating func refusedByProvider(at now: UInt64) {
        guard self.credential != nil, now &- self.fetchedAt > Self.refusableAge else { return }
        self.expiresAt = min(self.expiresAt, now)
    }
}
