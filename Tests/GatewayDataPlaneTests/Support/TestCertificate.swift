import Foundation
import TestSupport
import Testing

/// A certificate for 127.0.0.1 that nobody trusts, and its key, made anew for each test.
final class TestCertificate: Sendable {
    private let directory: URL
    var certificateFile: String { self.directory.appendingPathComponent("certificate.pem").path }
    var keyFile: String { self.directory.appendingPathComponent("key.pem").path }

    init() throws {
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        let result = try ChildProcess.run(
            ["/usr/bin/env", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
                + ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
                + ["-keyout", self.keyFile, "-out", self.certificateFile],
            environment: ProcessInfo.processInfo.environment, directory: self.directory, within: .seconds(60))
        try #require(result.end == .exited(0), "\(result.errorOutput)")
    }

    deinit { try? FileManager.default.removeItem(at: self.directory) }
}
