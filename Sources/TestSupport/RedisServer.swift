import Foundation
import Synchronization

/// A Redis server of the tests' own on a free port of the loopback address, with nothing on the disk. It ends with the
/// test runner.
package final class RedisServer: Sendable {
    package struct NotInstalled: Error, CustomStringConvertible {
        package var description: String {
            "redis-server was not found in PATH: install it (Debian: apt-get install redis-server)."
        }
    }

    package let port: Int
    private let directory: URL
    private let program: String
    private let arguments: [String]
    private let usesTLS: Bool
    private let child = Mutex<ChildProcess?>(nil)

    /// PEM file of the certificate of a server with TLS, which is its own authority, for `localhost`.
    package var certificateFile: URL { self.directory.appendingPathComponent("certificate.pem") }

    /// - Parameters:
    ///   - arguments: further ones, such as `--requirepass`, `secret`.
    ///   - usesTLS: whether it speaks nothing but TLS; `command` does not work then.
    package init(arguments: [String] = [], usesTLS: Bool = false) throws {
        self.program = try Self.findProgram()
        let socket = try StreamSocket.listen(port: 0)
        self.port = socket.localPort
        socket.close()
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "martlet-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        self.arguments = arguments
        self.usesTLS = usesTLS
        if usesTLS { try self.makeCertificate() }
        try self.start()
    }

    /// Path of `redis-server`.
    static func findProgram() throws(NotInstalled) -> String {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let places = path.split(separator: ":").map { "\($0)/redis-server" } + ["/usr/bin/redis-server"]
        guard let program = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw NotInstalled()
        }
        return program
    }

    deinit {
        self.child.withLock { _ = $0?.kill() }
        try? FileManager.default.removeItem(at: self.directory)
    }

    /// Without credentials.
    package func url(database: Int = 0) -> String { "redis://127.0.0.1:\(self.port)/\(database)" }

    private var keyFile: URL { self.directory.appendingPathComponent("key.pem") }

    private func makeCertificate() throws {
        let (end, _, errorOutput) = try ChildProcess.run(
            [
                "/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.keyFile.path,
                "-out",
                self.certificateFile.path, "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost",
            ], environment: ["PATH": "/usr/bin:/bin"], directory: self.directory, within: .seconds(30))
        guard end == .exited(0) else { throw DeadlinePassed("a certificate: \(errorOutput)") }
    }

    private var portArguments: [String] {
        if !self.usesTLS { return ["--port", String(self.port)] }
        return [
            "--port", "0", "--tls-port", String(self.port), "--tls-cert-file", self.certificateFile.path,
            "--tls-key-file", self.keyFile.path, "--tls-auth-clients", "no",
        ]
    }

    /// Starts the server, empty, and waits until it listens.
    package func start() throws {
        let started = try ChildProcess(
            name: "redis",
            arguments: [
                self.program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.directory.path,
            ] + self.portArguments + self.arguments,
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C"], directory: self.directory)
        self.child.withLock { $0 = started }
        try waitUntil("Redis on port \(self.port)", within: .seconds(20)) {
            if let end = started.ended {
                throw DeadlinePassed("Redis, which ended with \(end): \(started.output)\(started.errorOutput)")
            }
            return (try? StreamSocket.connect(port: self.port)) != nil
        }
    }

    /// `kill -9`: everything in it is gone.
    package func kill() { self.child.withLock { _ = $0?.kill() } }

    /// Stops and continues the process.
    package func send(signal: Int32) { self.child.withLock { $0?.send(signal: signal) } }

    /// Runs one command by `redis-cli` and gives what it prints.
    @discardableResult
    package func command(_ words: String...) throws -> String {
        let cli = URL(fileURLWithPath: self.program).deletingLastPathComponent().appendingPathComponent("redis-cli")
        let (end, output, errorOutput) = try ChildProcess.run(
            [cli.path, "-h", "127.0.0.1", "-p", String(self.port)] + words,
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C"], directory: self.directory, within: .seconds(20))
        guard end == .exited(0) else {
            throw DeadlinePassed("success of redis-cli \(words.first ?? ""): \(end) \(output)\(errorOutput)")
        }
        return output.trimmingCharacters(in: .newlines)
    }
}
