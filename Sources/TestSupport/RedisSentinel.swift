import Foundation

/// A real sentinel that watches one primary by itself: its own word is the quorum. It ends with the test runner.
package final class RedisSentinel: Sendable {
    package let port: Int
    private let directory: URL
    private let child: ChildProcess

    /// - Parameters:
    ///   - service: what it calls the primary.
    ///   - primary: one whose replicas are connected, so that it knows them from the start.
    package init(service: String, primary: RedisServer) throws {
        let program = try RedisServer.findProgram()
        let socket = try StreamSocket.listen(port: 0)
        self.port = socket.localPort
        socket.close()
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "martlet-sentinel-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        // It writes into this file what it finds out.
        let file = self.directory.appendingPathComponent("sentinel.conf")
        let lines = [
            "port \(self.port)", "bind 127.0.0.1", "dir \(self.directory.path)",
            "sentinel monitor \(service) 127.0.0.1 \(primary.port) 1",
            "sentinel down-after-milliseconds \(service) 500", "sentinel failover-timeout \(service) 10000",
        ]
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
        self.child = try ChildProcess(
            name: "sentinel", arguments: [program, file.path, "--sentinel"],
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C"], directory: self.directory)
        let (child, port) = (self.child, self.port)
        try waitUntil("the sentinel on port \(port)", within: .seconds(20)) {
            if let end = child.ended {
                throw DeadlinePassed("the sentinel, which ended with \(end): \(child.output)\(child.errorOutput)")
            }
            return (try? StreamSocket.connect(port: port)) != nil
        }
    }

    deinit {
        self.child.kill()
        try? FileManager.default.removeItem(at: self.directory)
    }
}
