import GatewayConfiguration
import GatewayRedis
import Testing

@Suite("The configuration of the Redis transport")
struct RedisConfigurationTests {
    private static let on = "general_settings: {use_redis_transaction_buffer: true}\n"
    private static let database = ["DATABASE_URL": "postgresql://u:p@h/d"]

    private func load(_ more: String, _ environment: [String: String] = [:]) -> LoadResult {
        Fixture.load(
            Fixture.model(Self.on + more), environment: environment.merging(Self.database) { given, _ in given })
    }

    @Test("is what LiteLLM's documentation shows, without a cache of answers")
    func documented() throws {
        let result = self.load(
            """
            litellm_settings:
              cache: True
              cache_params:
                type: redis
                host: redis.example.com
                port: "6380"
                password: planted-redis
                username: ann
                db: 2
                ssl: true
                namespace: a.b
                supported_call_types: []
            """)
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
        let redis = try #require(result.settings?.redis)
        #expect(redis.endpoint == .init(host: "redis.example.com", port: 6380))
        #expect(redis.user == "ann" && redis.password == "planted-redis" && redis.database == 2 && redis.usesTLS)
        #expect(redis.namespace == "a.b")
        #expect(result.settings?.redisTransport.directAfter == .seconds(10))
    }

    @Test("comes from variables, over which cache_params wins, and a twin over both")
    func variables() throws {
        let environment = ["REDIS_HOST": "one", "REDIS_PORT": "7000", "REDIS_PASSWORD": "s", "REDIS_SSL": "True"]
        let plain = try #require(self.load("", environment).settings?.redis)
        #expect(plain.endpoint == .init(host: "one", port: 7000) && plain.password == "s" && plain.usesTLS)
        let file = "litellm_settings: {cache_params: {host: two}}\n"
        #expect(self.load(file, environment).settings?.redis?.endpoint == .init(host: "two", port: 7000))
        let twin = environment.merging(["MARTLET_REDIS_HOST": "three"]) { $1 }
        #expect(self.load(file, twin).settings?.redis?.endpoint.host == "three")
        let url = environment.merging(["REDIS_URL": "rediss://u:x@four:1/5"]) { $1 }
        let byURL = try #require(self.load("", url).settings?.redis)
        #expect(byURL.endpoint == .init(host: "four", port: 1) && byURL.password == "x" && byURL.database == 5)
    }

    @Test(
        "names sentinels in all of LiteLLM's forms",
        arguments: [
            ("litellm_settings: {cache_params: {service_name: main, sentinel_nodes: [[a, 26380], [b, 26379]]}}\n", [:]),
            ("", ["REDIS_SERVICE_NAME": "main", "REDIS_SENTINEL_NODES": "[[\"a\", 26380], [\"b\", 26379]]"]),
            ("", ["REDIS_SERVICE_NAME": "main", "REDIS_SENTINEL_NODES": "a:26380,b"]),
        ] as [(String, [String: String])])
    func sentinels(_ file: String, _ environment: [String: String]) throws {
        let result = self.load(file, environment)
        let sentinel = try #require(result.settings?.redis?.sentinel, "\(result.diagnostics)")
        #expect(sentinel.endpoints == [.init(host: "a", port: 26_380), .init(host: "b", port: 26_379)])
        #expect(sentinel.service == "main")
    }

    @Test(
        "that cannot work stops the start",
        arguments: [
            [:], ["REDIS_URL": "http://h"], ["REDIS_HOST": "h", "REDIS_PORT": "planted-port"],
            ["REDIS_URL": "redis://h", "REDIS_CLUSTER_NODES": "[]x"], ["REDIS_SENTINEL_NODES": "a"],
        ] as [[String: String]])
    func refused(_ environment: [String: String]) {
        let result = self.load("", environment)
        #expect(result.settings == nil)
        #expect(result.diagnostics.contains { $0.keyPath == "general_settings.use_redis_transaction_buffer" })
        #expect(!"\(result.diagnostics)".contains("planted"))
    }

    @Test("needs PostgreSQL")
    func needsDatabase() {
        let result = Fixture.load(Fixture.model(Self.on), environment: ["REDIS_HOST": "h"])
        #expect(result.settings == nil && "\(result.diagnostics)".contains("needs PostgreSQL"))
    }

    @Test("says that nothing uses Redis without the switch")
    func useless() {
        let result = Fixture.load(Fixture.model(), environment: Self.database.merging(["REDIS_HOST": "h"]) { $1 })
        #expect(result.settings != nil && result.settings?.redis == nil)
        #expect("\(result.diagnostics)".contains("nothing uses REDIS_HOST"))
    }
}
