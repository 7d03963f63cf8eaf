import Foundation
import Synchronization

/// A PostgreSQL server of the tests' own: a data directory below the temporary directory, on a free port of the
/// loopback address. It ends with the test runner, however that ends.
package final class PostgresServer: Sendable {
    /// How a server is set up.
    package struct Options: Sendable {
        /// Off makes tests fast; on is for measuring.
        package var isFsyncOn = false
        /// Lines for `postgresql.conf`.
        package var settings: [String] = []
        /// Files in the data directory, by name, that only the server may read.
        package var files: [String: String] = [:]
        /// Lines of `pg_hba.conf`. Empty: passwords, over TLS or not.
        package var access: [String] = []
        /// The server whose standby this one is, until it is promoted. `nil`: it stands alone.
        package var primary: PostgresServer?

        package init(isFsyncOn: Bool = false, settings: [String] = []) {
            self.isFsyncOn = isFsyncOn
            self.settings = settings
        }
    }

    package struct NotInstalled: Error, CustomStringConvertible {
        package var description: String {
            "PostgreSQL's server programs were not found in /usr/lib/postgresql or PATH: install PostgreSQL 13 or "
                + "newer (Debian: apt-get install postgresql)."
        }
    }

    package let port: UInt16
    private let programs: URL
    private let directory: URL
    private let child: Mutex<ChildProcess?>
    private let databases = Atomic<Int>(0)

    package static let user = "martlet"
    package static let password = "p%40ss word"

    private static let sharedServer = Mutex<PostgresServer?>(nil)

    /// One server for all tests of the runner, started at the first call. Call it on a thread of its own.
    package static func shared() throws -> PostgresServer {
        try self.sharedServer.withLock { server in
            if let server { return server }
            let started = try PostgresServer()
            server = started
            return started
        }
    }

    package init(_ options: Options = Options()) throws {
        self.programs = try Self.findPrograms()
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "martlet-pg-\(UUID().uuidString)")
        self.port = try Self.freePort()
        self.child = Mutex(nil)
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        if getuid() == 0 {
            guard let account = Self.account() else { throw NotInstalled() }
            chown(self.directory.path, account.id, account.group)
        }
        try self.fill(options)
        var settings =
            options.settings + [
                "listen_addresses = '127.0.0.1'", "port = \(self.port)", "unix_socket_directories = ''",
                "max_connections = 200", "shared_buffers = 128MB", "log_min_messages = fatal", "max_wal_size = 4GB",
            ]
        if !options.isFsyncOn { settings += ["fsync = off", "full_page_writes = off"] }
        let configuration = self.data.appendingPathComponent("postgresql.auto.conf")
        let handle = try FileHandle(forWritingTo: configuration)
        try handle.seekToEnd()
        try handle.write(contentsOf: Data((settings.joined(separator: "\n") + "\n").utf8))
        try handle.close()
        try self.watch()
        try self.start()
    }

    /// Makes the data directory.
    private func fill(_ options: Options) throws {
        if let primary = options.primary {
            _ = try self.runToEnd([
                "pg_basebackup", "-D", self.data.path, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d",
                primary.url("postgres"),
            ])
        } else {
            let passwordFile = self.directory.appendingPathComponent("password")
            try "p@ss word\n".write(to: passwordFile, atomically: false, encoding: .utf8)
            chmod(passwordFile.path, 0o644)
            _ = try self.runToEnd([
                "initdb", "-D", self.data.path, "-U", Self.user, "-A", "scram-sha-256", "--pwfile", passwordFile.path,
                "-E", "UTF8", "--locale=C", "--no-sync",
            ])
        }
        var files = options.files
        if !options.access.isEmpty { files["pg_hba.conf"] = options.access.joined(separator: "\n") + "\n" }
        for (name, text) in files {
            let file = self.data.appendingPathComponent(name)
            try text.write(to: file, atomically: false, encoding: .utf8)
            chmod(file.path, 0o600)
            if getuid() == 0, let account = Self.account() { chown(file.path, account.id, account.group) }
        }
    }

    /// A process that outlives the test runner: ends the server and removes its files however the runner ended.
    private func watch() throws {
        let script = """
            setsid sh -c 'while kill -0 \(getpid()) 2>/dev/null && test -d "$0"; do sleep 1; done
            test -f "$0/data/postmaster.pid" && kill -INT "$(head -n 1 "$0/data/postmaster.pid")"
            sleep 1; rm -rf "$0"' "$0" </dev/null >/dev/null 2>&1 &
            """
        _ = try ChildProcess.run(
            ["/bin/sh", "-c", script, self.directory.path], environment: Self.environment, directory: self.directory,
            within: .seconds(20))
    }

    deinit {
        self.child.withLock { _ = $0?.kill() }
        try? FileManager.default.removeItem(at: self.directory)
    }

    private var data: URL { self.directory.appendingPathComponent("data") }

    /// Address of a database on this server.
    package func url(_ database: String, port: UInt16? = nil, parameters: String = "") -> String {
        "postgresql://\(Self.user):\(Self.password.replacing(" ", with: "%20"))@127.0.0.1:\(port ?? self.port)/\(database)"
            + (parameters.isEmpty ? "" : "?\(parameters)")
    }

    /// Makes a database and gives its name. Call it on a thread of its own.
    /// - Parameter template: copied with all its tables; nobody may be connected to it.
    package func createDatabase(template: String? = nil) throws -> String {
        let name = "test\(self.databases.wrappingAdd(1, ordering: .relaxed).newValue)"
        let copy = template.map { " TEMPLATE \($0)" } ?? ""
        _ = try self.query("CREATE DATABASE \(name)\(copy)", in: "postgres")
        return name
    }

    /// Runs SQL by `psql` and gives what it prints, columns separated by `|`.
    @discardableResult
    package func query(_ text: String, in database: String) throws -> String {
        try self.runToEnd([
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", text,
        ]).trimmingCharacters(in: .newlines)
    }

    /// Waits until the server answers.
    package func start() throws {
        let arguments =
            Self.asAccount() + [self.programs.appendingPathComponent("postgres").path, "-D", self.data.path]
        let started = try ChildProcess(
            name: "postgres", arguments: arguments, environment: Self.environment, directory: self.directory)
        self.child.withLock { $0 = started }
        try waitUntil("PostgreSQL on port \(self.port)", within: .seconds(60)) {
            if let end = started.ended {
                throw DeadlinePassed("PostgreSQL, which ended with \(end): \(started.errorOutput)")
            }
            return (try? self.runToEnd(["pg_isready", "-q", "-h", "127.0.0.1", "-p", "\(self.port)"])) != nil
        }
    }

    /// Makes a standby a server of its own.
    package func promote() throws { try self.query("SELECT pg_promote(true, 60)", in: "postgres") }

    /// Stops the server as a crash of its machine would, but for what the kernel still writes: no checkpoint.
    package func stopImmediately() throws {
        let running = self.child.withLock { child in
            defer { child = nil }
            return child
        }
        running?.send(signal: SIGQUIT)
        try running?.waitForEnd(within: .seconds(30))
    }

    // MARK: helpers

    private static let environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"]

    /// Who runs the server: it refuses to run as root.
    private static func account() -> (id: uid_t, group: gid_t)? {
        for name in ["postgres", "nobody"] {
            if let entry = getpwnam(name) { return (entry.pointee.pw_uid, entry.pointee.pw_gid) }
        }
        return nil
    }

    /// Arguments of `setpriv` that change the account, if it must change.
    private static func asAccount() -> [String] {
        guard getuid() == 0, let account = self.account() else { return [] }
        return ["/usr/bin/setpriv", "--reuid", "\(account.id)", "--regid", "\(account.group)", "--clear-groups"]
    }

    private func runToEnd(_ arguments: [String]) throws -> String {
        let program = self.programs.appendingPathComponent(arguments[0]).path
        let (end, output, errorOutput) = try ChildProcess.run(
            Self.asAccount() + [program] + arguments.dropFirst(), environment: Self.environment,
            directory: self.directory,
            within: .seconds(120))
        guard end == .exited(0) else {
            throw DeadlinePassed("success of \(arguments[0]), which ended with \(end): \(output)\(errorOutput)")
        }
        return output
    }

    private static func findPrograms() throws -> URL {
        let root = URL(fileURLWithPath: "/usr/lib/postgresql")
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        let newestFirst = versions.compactMap { Int($0) }.filter { $0 >= 13 }.sorted(by: >)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let places =
            newestFirst.map { root.appendingPathComponent("\($0)/bin") }
            + path.split(separator: ":").map { URL(fileURLWithPath: String($0)) }
        let found = places.first { place in
            ["initdb", "postgres", "psql"].allSatisfy {
                FileManager.default.isExecutableFile(atPath: place.appendingPathComponent($0).path)
            }
        }
        guard let found else { throw NotInstalled() }
        return found
    }

    private static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard code == 0 else { throw DeadlinePassed("a free port") }
        return UInt16(bigEndian: address.sin_port)
    }
}
