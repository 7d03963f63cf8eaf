import GatewayRedis
import Testing

@Suite("An address of Redis")
struct RedisSettingsTests {
    @Test("names host, port, user, password and database as redis-py reads them")
    func plain() throws {
        let settings = try RedisSettings(url: "redis://ann:p%40ss%3Aword@redis.example.com:7000/3")
        #expect(settings.endpoint == .init(host: "redis.example.com", port: 7000))
        #expect(settings.user == "ann" && settings.password == "p@ss:word")
        #expect(settings.database == 3 && !settings.usesTLS)
        #expect(settings.target == "redis.example.com:7000/3")
    }

    @Test("has defaults for all it leaves out")
    func defaults() throws {
        let settings = try RedisSettings(url: "redis://")
        #expect(settings.endpoint == .init(host: "localhost", port: 6379))
        #expect(settings.user == nil && settings.password == nil && settings.database == 0)
        #expect(try RedisSettings(url: "redis://:secret@h").password == "secret")
        #expect(try RedisSettings(url: "redis://:secret@h").user == nil)
    }

    @Test("asks for TLS, an IPv6 address, a socket and parameters")
    func otherForms() throws {
        let tls = try RedisSettings(url: "rediss://h?ssl_cert_reqs=none&db=2&socket_timeout=5#x")
        #expect(tls.usesTLS && !tls.verifiesCertificate && tls.database == 2)
        #expect(try RedisSettings(url: "redis://[::1]:7001").endpoint == .init(host: "::1", port: 7001))
        let socket = try RedisSettings(url: "unix://:secret@/run/redis.sock?db=1")
        #expect(socket.socketPath == "/run/redis.sock" && socket.password == "secret" && socket.database == 1)
        #expect(socket.target == "/run/redis.sock/1")
    }

    @Test(
        "that cannot be read is refused without repeating it",
        arguments: [
            "", "host:6379", "http://h", "redis://h:port-secret", "redis://h:70000", "redis://h/secret",
            "redis://u:%zz@h", "redis://u:%ff@h", "unix://", "redis://[::1", "redis://h/-1",
        ])
    func refused(_ url: String) {
        let error = #expect(throws: RedisError.self) { _ = try RedisSettings(url: url) }
        #expect(error?.kind == .settings)
        #expect(error?.message.contains("secret") == false)
    }
}

@Suite("Redis' client library")
struct HiredisLibraryTests {
    @Test("that is not installed is named, with what to do")
    func missing() {
        let error = #expect(throws: RedisError.self) { _ = try HiredisLibrary(named: "libhiredis.so.none") }
        #expect(error?.kind == .settings)
        #expect(error?.message.contains("libhiredis.so.none") == true)
        #expect(error?.message.contains("libhiredis-dev") == true, "\(error?.message ?? "")")
    }

    @Test("of another interface is refused before it is used")
    func other() {
        #expect(throws: RedisError.self) { _ = try HiredisLibrary(named: "libc.so.6") }
        #expect(throws: Never.self) { _ = try HiredisLibrary(named: HiredisLibrary.fileName) }
    }
}
