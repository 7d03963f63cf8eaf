import Dispatch
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A pod that drains", .serialized)
struct DrainTests {
    /// Runs `body`, which starts the drain when it is ready for it, and waits for the drain's end.
    private static func draining(
        _ gateway: TestGateway, _ body: @escaping @Sendable (_ drain: () -> Void) throws -> Void
    ) async throws {
        let isOver = DispatchSemaphore(value: 0)
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            try body {
                // Elsewhere it could wait long for a thread that tests block.
                Task(executorPreference: BlockingExecutor.shared) {
                    await gateway.server.drain()
                    isOver.signal()
                }
            }
            #expect(isOver.wait(timeout: .now() + 30) == .success)
        }
    }

    @Test("closes idle connections, lets running calls end, and takes no new ones")
    func letsCallsEnd() async throws {
        let provider = try HandProvider()
        let gateway = try await TestGateway(
            GatewaySetup(port: provider.port) { $0.configuration.drainTimeout = .seconds(20) })
        try await Self.draining(gateway) { drain in
            let idle = try RawHTTPClient(port: gateway.port)
            let held = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            let streamed = try gateway.call(Wire.chat(stream: true))
            let second = try provider.accept()
            _ = try second.request()
            try second.startStream()
            try second.chunk(Wire.delta("a"))
            drain()
            #expect(idle.isClosed(within: .seconds(15)))
            #expect(throws: SocketError.self) { _ = try RawHTTPClient(port: gateway.port, within: .seconds(1)) }
            try first.answer(Wire.completion())
            #expect(try held.response().text == Wire.completion())
            #expect(held.isClosed(within: .seconds(5)))
            try second.chunk(Wire.finish + Wire.usageEvent() + Wire.done)
            try second.send("0\r\n\r\n")
            #expect(try streamed.response().end == .complete)
        }
        #expect(try gateway.rows().map(\.settled) == [.measured, .measured])
        try gateway.checkInvariants()
        await gateway.stop()
    }

    @Test("cuts what runs on past its patience, and settles it")
    func cutsTheRest() async throws {
        let provider = try HandProvider()
        let gateway = try await TestGateway(
            GatewaySetup(port: provider.port) { $0.configuration.drainTimeout = .milliseconds(300) })
        try await Self.draining(gateway) { drain in
            let held = try gateway.call()
            let first = try provider.accept()
            _ = try first.request()
            let streamed = try gateway.call(Wire.chat(stream: true))
            let second = try provider.accept()
            _ = try second.request()
            try second.startStream()
            try second.chunk(Wire.delta("01234567"))
            drain()
            #expect(first.isLeft())
            #expect(second.isLeft())
            #expect(held.isClosed(within: .seconds(5)))
            #expect(try streamed.response().end == .cut)
        }
        #expect(try gateway.rows().allSatisfy { $0.outcome == .draining && $0.flags == .estimated })
        #expect(gateway.settled == 2)
        try gateway.checkInvariants()
        await gateway.stop()
    }

    @Test("settles calls that wait, connect or pause without booking what was not sent")
    func notSent() async throws {
        let provider = try HandProvider()
        var setup = GatewaySetup()
        setup.add("chat", port: provider.port, inFlightMax: 1)
        setup.retriesMax = 5
        setup.configuration.drainTimeout = .milliseconds(300)
        let gateway = try await TestGateway(setup)
        try await Self.draining(gateway) { drain in
            let pausing = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500, headers: ["Retry-After: 8"])
            _ = try gateway.rows(1)
            // It takes the place that the pausing call has left, and connects or waits for an answer.
            let other = try gateway.call()
            _ = try connection.request()
            let waiting = try gateway.call()
            try waitUntil("a call to wait") { gateway.snapshot.places == (1, 1) }
            drain()
            #expect(waiting.isClosed(within: .seconds(5)))
            #expect(pausing.isClosed(within: .seconds(5)))
            #expect(other.isClosed(within: .seconds(5)))
        }
        #expect(try gateway.rows().map(\.outcome) == [.upstreamRefused, .draining])
        try gateway.checkInvariants()
        await gateway.stop()
    }
}
