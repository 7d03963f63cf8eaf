import Foundation
import GatewayLedger
import GatewayPostgres
import TestSupport
import Testing

/// With a server that lets nobody in but over TLS, by a certificate for `localhost`.
@Suite("A PostgreSQL connection over TLS", .serialized)
struct PostgresTLSTests {
    /// Certificates that sign themselves, with their keys: the server's, and one that it has nothing to do with.
    private final class Certificates: Sendable {
        private let directory: URL
        func certificate(_ name: String) -> String { self.directory.appendingPathComponent("\(name).pem").path }
        func key(_ name: String) -> String { self.directory.appendingPathComponent("\(name).key").path }

        init() throws {
            self.directory = FileManager.default.temporaryDirectory.appendingPathComponent(
                "martlet-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
            for name in ["server", "other"] {
                let result = try ChildProcess.run(
                    ["/usr/bin/env", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
                        + ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
                        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", self.key(name)]
                        + ["-out", self.certificate(name)],
                    environment: ProcessInfo.processInfo.environment, directory: self.directory, within: .seconds(60))
                try #require(result.end == .exited(0), "\(result.errorOutput)")
            }
        }

        deinit { try? FileManager.default.removeItem(at: self.directory) }
    }

    private static func server(_ certificates: Certificates) async throws -> PostgresServer {
        try await onOwnThread {
            var options = PostgresServer.Options(settings: ["ssl = on"])
            options.files = [
                "server.crt": try String(contentsOfFile: certificates.certificate("server"), encoding: .utf8),
                "server.key": try String(contentsOfFile: certificates.key("server"), encoding: .utf8),
            ]
            options.access = ["hostssl all all 127.0.0.1/32 scram-sha-256"]
            return try PostgresServer(options)
        }
    }

    /// A store of the server by its name or address.
    private static func store(
        _ server: PostgresServer, _ database: String, host: String = "localhost", _ parameters: String
    ) throws -> PostgresStore {
        let url = server.url(database, parameters: parameters + "&application_name=tls")
        return try PostgresStore(PostgresSettings(url: url.replacing("@127.0.0.1:", with: "@\(host):")))
    }

    @Test("is made in every sslmode but disable, and carries what the store does")
    func connects() async throws {
        let certificates = try Certificates()
        let server = try await Self.server(certificates)
        let database = try await onOwnThread { try server.createDatabase() }
        let root = "&sslrootcert=\(certificates.certificate("server"))"
        let modes = ["allow", "prefer", "require", "verify-ca\(root)", "verify-full\(root)"]
        for (index, mode) in modes.enumerated() {
            let store = try Self.store(server, database, "sslmode=\(mode)")
            try await store.open(patience: .seconds(10), pause: PostgresBench.pause)
            let start = try await store.takeStream(LedgerSample.journal(UInt64(index + 1)))
            let events = LedgerSample.events(5, from: Int64(index * 5))
            #expect(try await store.append(events, at: start) == .applied(5), "\(mode)")
            _ = try await store.fold()
            let sessions = try await onOwnThread {
                try server.query(
                    "SELECT count(*) > 0, bool_and(s.ssl) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) "
                        + "WHERE a.application_name = 'tls'", in: "postgres")
            }
            #expect(sessions == "t|t", "\(mode)")
            await store.close()
        }
        let store = try Self.store(server, database, "sslmode=require")
        #expect(try await store.verify() == [])
        #expect(try await store.counter(.total).requests == Int64(modes.count * 5))
        await store.close()
    }

    /// The message that a store refuses to open with.
    private func refusal(
        _ server: PostgresServer, _ database: String, host: String = "localhost", _ parameters: String
    ) async throws -> String {
        let store = try Self.store(server, database, host: host, parameters)
        let error = await #expect(throws: PostgresError.self, "\(parameters) at \(host)") {
            try await store.open(patience: .zero, pause: PostgresBench.pause)
        }
        await store.close()
        let message = error?.message ?? ""
        #expect(!message.contains("p@ss") && !message.contains("p%40ss"), "\(message)")
        return message
    }

    @Test("is refused without TLS, with another authority, and under another name")
    func refused() async throws {
        let certificates = try Certificates()
        let server = try await Self.server(certificates)
        let database = try await onOwnThread { try server.createDatabase() }
        let plain = try await self.refusal(server, database, "sslmode=disable")
        #expect(plain.contains("no encryption") && plain.contains("pg_hba.conf"), "\(plain)")
        let other = "&sslrootcert=\(certificates.certificate("other"))"
        for mode in ["verify-ca", "verify-full"] {
            let message = try await self.refusal(server, database, "sslmode=\(mode)\(other)")
            #expect(message.contains("certificate verify failed"), "\(message)")
        }
        let root = "&sslrootcert=\(certificates.certificate("server"))"
        let name = try await self.refusal(server, database, host: "127.0.0.1", "sslmode=verify-full\(root)")
        #expect(name.contains("does not match host name"), "\(name)")
        let missing = try await self.refusal(server, database, "sslmode=verify-full&sslrootcert=/nowhere.pem")
        #expect(missing.contains("/nowhere.pem"), "\(missing)")
        let withoutTLS = try await self.refusal(PostgresBench.server(), database, "sslmode=require")
        #expect(withoutTLS.contains("does not support SSL"), "\(withoutTLS)")
    }
}
