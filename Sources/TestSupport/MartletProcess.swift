import Foundation
import Synchronization

/// A gateway under test: the real binary with a data directory and a configuration of its own.
package final class MartletProcess: Sendable {
    /// The admin key that `Configuration.yaml` sets.
    package static let masterKey = "sk-master-of-the-tests"

    package let port: Int
    /// Holds configuration, logs and the data directory; removed with this object.
    package let directory: URL
    package let environment: [String: String]
    private let startArguments: [String]
    private let child = Mutex<ChildProcess?>(nil)

    package var configurationFile: URL { self.directory.appendingPathComponent("config.yaml") }
    package var dataDirectory: URL { self.directory.appendingPathComponent("data") }

    /// Prepares a gateway; `start()` starts it.
    /// - Parameters:
    ///   - configuration: the text of `config.yaml`; `nil`: no file, the gateway configures itself.
    ///   - environment: added to a minimal one, so that keys of the developer's own shell never reach a test.
    ///   - arguments: further ones of `martlet serve`.
    package init(
        configuration: String?, environment: [String: String] = [:], arguments: [String] = [],
        threads: Int = 2
    ) throws {
        self.port = try Self.freePort()
        self.directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("martlet-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        var base = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
            "HOME": self.directory.path,
        ]
        for name in ["SWIFT_BACKTRACE", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"] {
            base[name] = ProcessInfo.processInfo.environment[name]
        }
        self.environment = base.merging(environment) { _, given in given }
        self.startArguments =
            ["serve", "--host", "127.0.0.1", "--port", String(self.port)]
            + [
                "--data", self.directory.appendingPathComponent("data").path, "--threads", String(threads),
            ] + arguments
        if let configuration {
            try Data(configuration.utf8).write(to: self.directory.appendingPathComponent("config.yaml"))
        }
    }

    deinit {
        self.child.withLock { _ = $0?.kill() }
        try? FileManager.default.removeItem(at: self.directory)
    }

    /// The gateway's binary: `MARTLET_BINARY`, which `scripts/test` sets. `nil`: not set, or not there.
    package static var binary: String? {
        let path = ProcessInfo.processInfo.environment["MARTLET_BINARY"] ?? ""
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }

    // MARK: life

    /// Starts the process and waits until `/readyz` says 200.
    package func start() throws {
        try self.launch()
        try self.waitUntilReady()
    }

    /// Starts the process without waiting.
    package func launch() throws {
        let child = try ChildProcess(
            name: "martlet",
            arguments: [try Self.requiredBinary()] + self.startArguments + self.configurationArguments,
            environment: self.environment, directory: self.directory)
        self.child.withLock { $0 = child }
    }

    package func waitUntilReady() throws {
        try waitUntil("/readyz of the gateway to answer 200", within: .seconds(20)) {
            if let end = self.process.ended {
                throw ChildProcess.StartFailed(
                    description: "the gateway ended, \(end): \(self.process.errorOutput)")
            }
            return try self.readiness() == 200
        }
    }

    /// Status of `/readyz`. `nil`: no answer.
    package func readiness() throws -> Int? {
        do {
            return try RawHTTPClient.request(port: self.port, "GET", "/readyz", within: .seconds(5))
                .status
        } catch is SocketError {
            return nil
        } catch is RawHTTPClient.ConnectionEnded {
            return nil
        }
    }

    package var process: ChildProcess {
        guard let child = self.child.withLock({ $0 }) else {
            preconditionFailure("the gateway was never started")
        }
        return child
    }

    /// SIGTERM, and the wait for the end.
    @discardableResult
    package func terminate(within duration: Duration = .seconds(40)) throws -> ChildProcess.End {
        self.process.send(signal: SIGTERM)
        return try self.process.waitForEnd(within: duration)
    }

    package func kill() { self.process.kill() }

    /// What the process printed so far, over all its lives: standard output and log.
    package var printed: String { self.process.output + self.process.errorOutput }

    /// Replaces the configuration file in one step, as editors do.
    package func replaceConfiguration(_ text: String) throws {
        try Data(text.utf8).write(to: self.configurationFile, options: .atomic)
    }

    // MARK: command line

    /// Runs `martlet` with these arguments to its end.
    package func run(
        _ arguments: [String], within duration: Duration = .seconds(60)
    ) throws -> (end: ChildProcess.End, output: String, errorOutput: String) {
        try ChildProcess.run(
            [try Self.requiredBinary()] + arguments, environment: self.environment,
            directory: self.directory,
            within: duration)
    }

    /// `martlet ledger verify`: exit status and what it printed.
    package func verifyLedger() throws -> (end: ChildProcess.End, output: String) {
        let result = try self.run(
            ["ledger", "verify", "--data", self.dataDirectory.path] + self.configurationArguments)
        return (result.end, result.output + result.errorOutput)
    }

    /// `martlet ledger export --format jsonl`, decoded.
    package func exportLedger() throws -> [ExportedAttempt] {
        let result = try self.run(
            ["ledger", "export", "--format", "jsonl", "--data", self.dataDirectory.path]
                + self.configurationArguments)
        guard result.end == .exited(0) else {
            throw ChildProcess.StartFailed(
                description: "ledger export: \(result.end): \(result.errorOutput)")
        }
        return try result.output.split(separator: "\n").map {
            try JSONDecoder().decode(ExportedAttempt.self, from: Data($0.utf8))
        }
    }

    // MARK: requests

    /// One request on a connection of its own, with `key` as bearer.
    package func request(
        _ method: String, _ path: String, key: String? = MartletProcess.masterKey,
        headers: [String] = [],
        body: String? = nil, within duration: Duration = .seconds(30)
    ) throws -> RawHTTPResponse {
        let authorization = key.map { ["Authorization: Bearer \($0)"] } ?? []
        return try RawHTTPClient.request(
            port: self.port, method, path, headers: authorization + headers, body: body, within: duration)
    }

    /// Makes a virtual key with the given fields (a JSON object) and returns its secret.
    package func generateKey(_ fields: String = "{}") throws -> String {
        let response = try self.request("POST", "/key/generate", body: fields)
        guard response.status == 200, let key = response.json?["key"] as? String else {
            throw ChildProcess.StartFailed(
                description: "/key/generate: \(response.status) \(response.text)")
        }
        return key
    }

    /// A chat completion as `user`.
    package func chat(
        model: String, key: String, user: String = "tester", isStream: Bool = false, extra: String = "",
        within duration: Duration = .seconds(30)
    ) throws -> RawHTTPResponse {
        try self.request(
            "POST", "/v1/chat/completions", key: key,
            body: Self.chatBody(model: model, user: user, isStream: isStream, extra: extra),
            within: duration)
    }

    /// - Parameter extra: further fields, such as `,"n":2`.
    package static func chatBody(
        model: String, user: String, isStream: Bool = false, extra: String = ""
    ) -> String {
        "{\"model\":\"\(model)\",\"messages\":[{\"role\":\"user\",\"content\":\"Say hello.\"}],\"user\":\"\(user)\""
            + (isStream ? ",\"stream\":true" : "") + extra + "}"
    }

    // MARK: helpers

    private var configurationArguments: [String] {
        let file = self.configurationFile.path
        return FileManager.default.fileExists(atPath: file) ? ["--config", file] : []
    }

    private static func requiredBinary() throws -> String {
        guard let binary = self.binary else {
            throw ChildProcess.StartFailed(
                description:
                    "no gateway binary: run ./scripts/test, or set MARTLET_BINARY to a built martlet")
        }
        return binary
    }

    private static let nextPort = Atomic<Int>(20_000 + Int(getpid()) % 9_000)

    /// A free port below the range that outgoing connections take theirs from, so that a gateway can come back to it.
    private static func freePort() throws -> Int {
        for _ in 0..<1000 {
            let port =
                20_000 + (self.nextPort.wrappingAdd(1, ordering: .relaxed).newValue - 20_000) % 12_000
            if let socket = try? StreamSocket.listen(port: port) {
                socket.close()
                return port
            }
        }
        throw ChildProcess.StartFailed(description: "no free port in 20000..<32000")
    }
}
