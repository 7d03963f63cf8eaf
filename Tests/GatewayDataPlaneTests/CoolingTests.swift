import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("A deployment that has failed", .serialized)
struct CoolingTests {
    /// One group of two deployments, told apart by their models.
    private static func pair(cooldown: Duration) -> @Sendable (inout GatewaySetup, Int) -> Void {
        { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, model: "one", id: "id-one")
            setup.add("chat", port: port, model: "two", id: "id-two")
            setup.retriesMax = 0
            setup.cooldown = cooldown
        }
    }

    /// One call; `fails` decides by the model that it was sent to.
    private static func call(
        _ gateway: TestGateway, _ connection: ProviderConnection, status: Int = 500, fails: (String) -> Bool
    ) throws -> String {
        let client = try gateway.call()
        let model = try connection.request().json["model"] as? String ?? ""
        if fails(model) {
            try connection.answer(Wire.error(), status: status)
        } else {
            try connection.answer(Wire.completion())
        }
        _ = try client.response()
        client.close()
        return model
    }

    @Test("is left out for a while where its group has another", arguments: [429, 500, 401])
    func isLeftOut(status: Int) async throws {
        try await withGateway(Self.pair(cooldown: .seconds(3600))) { gateway, provider in
            let warm = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            _ = try warm.response()
            var failed: String?
            for _ in 0..<100 where failed == nil {
                let model = try Self.call(gateway, connection, status: status) { $0 == "one" }
                if model == "one" { failed = model }
            }
            #expect(failed == "one")
            for _ in 0..<30 { #expect(try Self.call(gateway, connection) { _ in false } == "two") }
        }
    }

    @Test("is not left out for what the caller did wrong")
    func callersFault() async throws {
        try await withGateway(Self.pair(cooldown: .seconds(3600))) { gateway, provider in
            let warm = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            _ = try warm.response()
            var models: Set<String> = []
            for _ in 0..<100 { models.insert(try Self.call(gateway, connection, status: 400) { _ in true }) }
            #expect(models == ["one", "two"])
        }
    }

    @Test("is used all the same when all others cool, too, and again when it has cooled")
    func isUsedAgain() async throws {
        try await withGateway(Self.pair(cooldown: .milliseconds(1))) { gateway, provider in
            let warm = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.completion())
            _ = try warm.response()
            var models: Set<String> = []
            for _ in 0..<100 { models.insert(try Self.call(gateway, connection) { _ in true }) }
            #expect(models == ["one", "two"])
        }
        try await withGateway(Self.pair(cooldown: .seconds(3600))) { gateway, provider in
            let warm = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500)
            _ = try warm.response()
            for _ in 0..<20 { _ = try Self.call(gateway, connection) { _ in true } }
            #expect(gateway.settled == 21)
        }
    }

    @Test("alone in its group is never left out")
    func alone() async throws {
        try await withGateway { setup, _ in
            setup.cooldown = .seconds(3600)
        } _: { gateway, provider in
            let warm = try gateway.call()
            let connection = try provider.accept()
            _ = try connection.request()
            try connection.answer(Wire.error(), status: 500)
            _ = try warm.response()
            #expect(try Self.call(gateway, connection) { _ in false } == "up-chat")
        }
    }
}
