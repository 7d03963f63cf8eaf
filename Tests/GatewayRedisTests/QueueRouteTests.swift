import GatewayRedis
import Testing

@Suite("The way of an append")
struct QueueRouteTests {
    private func route(directAfter: Duration? = .seconds(10)) -> QueueRoute {
        QueueRoute(directAfter: directAfter, probeInterval: .seconds(8), patience: .seconds(3))
    }

    @Test("is the queue as long as it works, with the whole patience each time")
    func well() {
        var route = self.route()
        for second in [0, 100, 1000] {
            #expect(route.decide(now: .seconds(second)) == .queue(until: .seconds(second + 10)))
            route.succeeded()
        }
        #expect(!route.isDirect(now: .seconds(2000)))
    }

    @Test("leads past the queue once its trouble has lasted, whatever append met it first")
    func trouble() {
        var route = self.route()
        route.stumbled(now: .seconds(5))
        route.stumbled(now: .seconds(9))
        #expect(route.decide(now: .seconds(12)) == .queue(until: .seconds(15)))
        #expect(!route.isDirect(now: .seconds(14)))
        route.gaveUp(since: .seconds(12), now: .seconds(15))
        #expect(route.isDirect(now: .seconds(15)))
        #expect(route.decide(now: .seconds(16)) == .direct)
    }

    @Test("is tried again now and then, for a short time, and is the queue again after a success")
    func probes() {
        var route = self.route()
        route.gaveUp(since: .seconds(0), now: .seconds(10))
        #expect(route.decide(now: .seconds(17)) == .direct)
        #expect(route.decide(now: .seconds(18)) == .queue(until: .seconds(20)))
        route.gaveUp(since: .seconds(18), now: .seconds(20))
        #expect(route.decide(now: .seconds(27)) == .direct)
        #expect(route.decide(now: .seconds(28)) == .queue(until: .seconds(30)))
        route.succeeded()
        #expect(!route.isDirect(now: .seconds(29)))
        #expect(route.decide(now: .seconds(29)) == .queue(until: .seconds(39)))
    }

    @Test("is the queue for good when pods may not write by themselves")
    func never() {
        var route = self.route(directAfter: nil)
        route.stumbled(now: .seconds(1))
        route.gaveUp(since: .seconds(1), now: .seconds(4))
        #expect(route.decide(now: .seconds(1000)) == .queue(until: .seconds(1003)))
        #expect(!route.isDirect(now: .seconds(1000)))
    }
}
