import GatewayDataPlane
import TestSupport
import Testing

@Suite("A credential that is fetched")
struct CredentialStateTests {
    private static let second: UInt64 = 1_000_000_000
    private static let first = FetchedCredential.bearer("one")
    private static let other = FetchedCredential.bearer("two")

    @Test("is waited for at first, fetched once for all who ask")
    func first() {
        var state = CredentialState()
        #expect(state.ask(at: 1) == .wait(fetches: true))
        for time in 2..<100 as Range<UInt64> { #expect(state.ask(at: time) == .wait(fetches: false)) }
        state.fetched(Self.first, lifetimeSeconds: 3600, at: 100, random: 0)
        #expect(state.ask(at: 101) == .use(Self.first, fetches: false))
    }

    @Test(
        "is fetched anew in good time, spread over a tenth of its life, while it goes on being used",
        arguments: [0, 512, 1023, UInt64.max])
    func refresh(random: UInt64) {
        var state = CredentialState()
        _ = state.ask(at: 0)
        state.fetched(Self.first, lifetimeSeconds: 1000, at: 0, random: random)
        #expect(state.ask(at: 699 * Self.second) == .use(Self.first, fetches: false))
        #expect(state.ask(at: 800 * Self.second) == .use(Self.first, fetches: true))
        #expect(state.ask(at: 801 * Self.second) == .use(Self.first, fetches: false))
        state.fetched(Self.other, lifetimeSeconds: 1000, at: 802 * Self.second, random: random)
        #expect(state.ask(at: 1200 * Self.second) == .use(Self.other, fetches: false))
    }

    @Test("serves as long as it is valid when no new one is to be had, and then no longer")
    func outage() {
        var state = CredentialState()
        _ = state.ask(at: 0)
        state.fetched(Self.first, lifetimeSeconds: 1000, at: 0, random: 0)
        let error = CredentialError(.unavailable, "away")
        var now = 800 * Self.second
        var fetches = 0
        while now < 990 * Self.second {
            guard case .use(Self.first, let fetches_) = state.ask(at: now) else {
                Issue.record("not usable at \(now)")
                return
            }
            if fetches_ {
                fetches += 1
                state.failed(error, at: now, random: 7)
            }
            now += Self.second / 10
        }
        // Pauses grow to half a minute.
        #expect((8...16).contains(fetches), "\(fetches)")
        now = 1000 * Self.second + 60 * Self.second
        #expect(state.ask(at: now) == .wait(fetches: true))
        state.failed(error, at: now, random: 0)
        #expect(state.ask(at: now + 1) == .refuse(error))
        #expect(state.ask(at: now + 31 * Self.second) == .wait(fetches: true))
    }

    @Test("that is refused is not asked for again by every call")
    func refusal() {
        var state = CredentialState()
        _ = state.ask(at: 0)
        let error = CredentialError(.refused, "no")
        state.failed(error, at: 0, random: 0)
        #expect(state.ask(at: Self.second) == .refuse(error))
        #expect(state.ask(at: 3 * Self.second) == .wait(fetches: true))
    }

    @Test("is given up when the provider does not take it, but not time and again")
    func revoked() {
        var state = CredentialState()
        _ = state.ask(at: 0)
        state.fetched(Self.first, lifetimeSeconds: 3600, at: 0, random: 0)
        state.refusedByProvider(at: 5 * Self.second)
        #expect(state.ask(at: 6 * Self.second) == .use(Self.first, fetches: false))
        state.refusedByProvider(at: 40 * Self.second)
        #expect(state.ask(at: 41 * Self.second) == .wait(fetches: true))
    }

    @Test("may live for any time the server says", arguments: [nil, Int64.min, -1, 0, 1, 7, Int64.max])
    func lifetime(seconds: Int64?) {
        var state = CredentialState()
        _ = state.ask(at: 50)
        state.fetched(Self.first, lifetimeSeconds: seconds, at: 50, random: .max)
        let answer = state.ask(at: 51)
        #expect(answer == ((seconds ?? 1) > 0 ? .use(Self.first, fetches: false) : .wait(fetches: true)))
        _ = state.ask(at: .max - 1)
    }

    @Test("is fetched by one at a time whatever happens, and never used beyond its end")
    func random() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var state = CredentialState()
        var now: UInt64 = 0
        var isFetching = false
        var end: UInt64 = 0
        for _ in 0..<20_000 {
            now += UInt64.random(in: 0...200 * Self.second, using: &random)
            switch UInt8.random(in: 0...3, using: &random) {
            case 0 where isFetching:
                isFetching = false
                let seconds = Int64.random(in: -5...5000, using: &random)
                end = now + UInt64(max(0, seconds)) * Self.second
                state.fetched(Self.first, lifetimeSeconds: seconds, at: now, random: random.next())
            case 1 where isFetching:
                isFetching = false
                let kind: CredentialError.Kind = Bool.random(using: &random) ? .refused : .unavailable
                state.failed(CredentialError(kind, ""), at: now, random: random.next())
            case 2: state.refusedByProvider(at: now)
            default:
                switch state.ask(at: now) {
                case .use(_, let fetches):
                    #expect(now < end && !(fetches && isFetching), "seed \(seed)")
                    isFetching = isFetching || fetches
                case .wait(let fetches):
                    #expect(fetches != isFetching, "seed \(seed)")
                    isFetching = true
                case .refuse: #expect(!isFetching, "seed \(seed)")
                }
            }
        }
    }
}
