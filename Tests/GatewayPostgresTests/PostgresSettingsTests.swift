import GatewayPostgres
import Testing

@Suite("Settings of a PostgreSQL connection")
struct PostgresSettingsTests {
    @Test("understand addresses in libpq's forms")
    func readsAddresses() throws {
        let one = try PostgresSettings(url: "postgresql://ann:secret@db.example:5433/ledger?sslmode=verify-full")
        #expect(one.value(of: "host") == "db.example")
        #expect(one.value(of: "port") == "5433")
        #expect(one.value(of: "dbname") == "ledger")
        #expect(one.value(of: "user") == "ann")
        #expect(one.value(of: "sslmode") == "verify-full")
        #expect(one.value(of: "target_session_attrs") == "any")
        #expect(one.schema == "martlet")
        #expect(one.preparesStatements)
        let several = try PostgresSettings(url: "postgres://ann@a:1,b:2/ledger?sslrootcert=/ca.pem&connect_timeout=9")
        #expect(several.value(of: "host") == "a,b")
        #expect(several.value(of: "port") == "1,2")
        #expect(several.value(of: "target_session_attrs") == "read-write")
        #expect(several.value(of: "sslrootcert") == "/ca.pem")
        #expect(several.connectTimeout == .seconds(9))
        let words = try PostgresSettings(url: "host=/run/postgresql dbname=ledger", schema: "other")
        #expect(words.value(of: "host") == "/run/postgresql")
        #expect(words.schema == "other")
        let chosen = try PostgresSettings(url: "postgres://a,b/x?target_session_attrs=prefer-standby")
        #expect(chosen.value(of: "target_session_attrs") == "prefer-standby")
    }

    @Test(
        "understand or ignore what other drivers put into an address",
        arguments: [
            ("pgbouncer=true", false, 0), ("pgbouncer=false", true, 0), ("statement_cache=off", false, 0),
            ("statement_cache_size=0", false, 0), ("schema=public", true, 1), ("connection_limit=5", true, 1),
            ("pool_timeout=60&sslmode=require", true, 1), ("sslaccept=strict", true, 1), ("", true, 0),
        ])
    func readsForeignParameters(_ parameters: String, prepares: Bool, notes: Int) throws {
        let settings = try PostgresSettings(url: "postgresql://u:p@h/d?\(parameters)")
        #expect(settings.preparesStatements == prepares)
        #expect(settings.notes.count == notes)
        #expect(settings.value(of: "host") == "h")
    }

    @Test("take the schema and times from parameters of their own")
    func readsOwnParameters() throws {
        let settings = try PostgresSettings(url: "postgresql://h/d?martlet_schema=s1&statement_timeout=1500")
        #expect(settings.schema == "s1")
        #expect(settings.statementTimeout == .milliseconds(1500))
        #expect(try PostgresSettings(url: "postgresql://h/d?socket_timeout=7").statementTimeout == .seconds(7))
    }

    @Test("come from the environment as LiteLLM's do")
    func readsEnvironment() throws {
        #expect(try PostgresSettings(environment: [:]) == nil)
        #expect(try PostgresSettings(environment: ["DATABASE_URL": ""]) == nil)
        let parts = try #require(
            try PostgresSettings(environment: [
                "DATABASE_HOST": "h", "DATABASE_PORT": "6432", "DATABASE_USERNAME": "u", "DATABASE_PASSWORD": "p @:/?",
                "DATABASE_NAME": "d", "DATABASE_SCHEMA": "litellm",
            ]))
        #expect(parts.value(of: "host") == "h")
        #expect(parts.value(of: "port") == "6432")
        #expect(parts.value(of: "user") == "u")
        #expect(parts.value(of: "dbname") == "d")
        #expect(parts.schema == "martlet")
        #expect(parts.notes.count == 1)
        let twin = try #require(
            try PostgresSettings(environment: [
                "DATABASE_URL": "postgresql://a/d", "MARTLET_DATABASE_URL": "postgresql://b/d",
                "MARTLET_DATABASE_SCHEMA": "own",
            ]))
        #expect(twin.value(of: "host") == "b")
        #expect(twin.schema == "own")
    }

    @Test(
        "are refused without repeating the password",
        arguments: [
            "postgresql://u:planted%zz@h/d", "postgresql://u:planted@h:port/d:", "postgresql://u:planted@[::1/d",
            "host=h password=planted nonsense", "postgresql://u:planted%00@h/d", "", "planted",
        ])
    func refusesBadAddresses(_ url: String) throws {
        do {
            let settings = try PostgresSettings(url: url)
            // libpq finds out later that the port is no number.
            #expect(!settings.target.contains("planted"))
        } catch {
            #expect(error.kind == .settings)
            #expect(!error.message.contains("planted"))
        }
    }

    @Test("need the database's name beside the host")
    func needsName() throws {
        #expect(throws: PostgresError.self) { try PostgresSettings(environment: ["DATABASE_HOST": "h"]) }
    }

    @Test("never show the password")
    func hidesPassword() throws {
        let settings = try PostgresSettings(url: "postgresql://ann:planted@h/d?sslpassword=planted")
        #expect(!settings.target.contains("planted"))
        #expect(settings.value(of: "password") == nil)
        #expect(settings.value(of: "sslpassword") == nil)
        #expect(!settings.notes.joined().contains("planted"))
    }
}

@Suite("An error of PostgreSQL")
struct PostgresErrorTests {
    @Test(
        "is sorted by its SQLSTATE",
        arguments: [
            ("57P01", .startingUp, true), ("57P02", .startingUp, true), ("57P03", .startingUp, true),
            ("53300", .tooManyConnections, true), ("28000", .credentials, false), ("28P01", .credentials, false),
            ("3D000", .noDatabase, false), ("42501", .permission, false), ("25006", .readOnly, true),
            ("40001", .serialization, true), ("40P01", .deadlock, true), ("40003", .connectionLost, true),
            ("57014", .timeout, true), ("55P03", .timeout, true), ("53100", .resources, true),
            ("58030", .resources, true), ("23505", .uniqueViolation, false), ("23514", .integrity, false),
            ("23502", .integrity, false), ("22003", .outOfRange, false), ("22012", .selfCheck, false),
            ("26000", .statementCache, true), ("42P05", .statementCache, true), ("42P01", .missingSchema, false),
            ("3F000", .missingSchema, false), ("42P07", .alreadyExists, false), ("42P06", .alreadyExists, false),
            ("08006", .connectionLost, true), ("42601", .other, false), ("XX000", .other, false),
        ] as [(String, PostgresError.Kind, Bool)])
    func isSorted(_ state: String, kind: PostgresError.Kind, isTransient: Bool) {
        let error = PostgresError(state: state, text: "said so")
        #expect(error.kind == kind)
        #expect(error.isTransient == isTransient)
        #expect(error.message.contains(state))
    }

    @Test("does not repeat values", arguments: ["22P02", "22001", "22021"])
    func hidesValues(_ state: String) {
        #expect(!PostgresError(state: state, text: "invalid input: \"planted\"").message.contains("planted"))
    }

    @Test("tells the ledger what to do")
    func becomesLedgerError() {
        guard case .unavailable = PostgresError(.connectionLost, "x").ledgerError,
            case .conflict = PostgresError(.uniqueViolation, "x").ledgerError,
            case .corrupt = PostgresError(.selfCheck, "x").ledgerError
        else {
            Issue.record("an error was mapped elsewhere")
            return
        }
    }
}
