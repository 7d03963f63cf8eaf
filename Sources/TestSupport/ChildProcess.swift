import Foundation
import Synchronization

/// A program started by a test, with its output in files. Every child that is still running when the test runner ends
/// in order is killed.
package final class ChildProcess: Sendable {
    /// How a program ended.
    package enum End: Equatable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)

        package var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .killed(let signal): "killed by signal \(signal)"
            }
        }
    }

    package struct StartFailed: Error, CustomStringConvertible {
        package let description: String
        package init(description: String) { self.description = description }
    }

    package let processID: pid_t
    package let outputFile: URL
    package let errorFile: URL
    private let end = Mutex<End?>(nil)

    /// Starts `arguments[0]` (a path) with exactly `environment`.
    /// - Parameter directory: gets `<name>.out` and `<name>.err`; appended to when they exist.
    package init(
        name: String, arguments: [String], environment: [String: String], directory: URL
    ) throws {
        self.outputFile = directory.appendingPathComponent("\(name).out")
        self.errorFile = directory.appendingPathComponent("\(name).err")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 1, self.outputFile.path, flags, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, self.errorFile.path, flags, 0o600)
        // Sockets of the test runner must not live on in the child: their ends would never be seen.
        try Self.closeInherited(&actions)
        // The test runner may block signals in the spawning thread; the child starts with none blocked.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        var processID = pid_t()
        let status = Self.withCStrings(arguments) { argv in
            Self.withCStrings(environment.map { "\($0.key)=\($0.value)" }) { envp in
                posix_spawn(&processID, arguments[0], &actions, &attributes, argv, envp)
            }
        }
        guard status == 0 else {
            throw StartFailed(
                description: "cannot start \(arguments[0]): \(String(cString: strerror(status)))")
        }
        self.processID = processID
        Self.register(processID)
    }

    deinit { self.kill() }

    /// How the program ended. `nil`: it still runs.
    package var ended: End? {
        self.end.withLock { end in
            if end == nil {
                var status: Int32 = 0
                if waitpid(self.processID, &status, WNOHANG) == self.processID {
                    end = status & 0x7F == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: status & 0x7F)
                    Self.forget(self.processID)
                }
            }
            return end
        }
    }

    /// Sends `signal`, unless the program has ended (its id could be another's by then).
    package func send(signal: Int32) {
        if self.ended == nil { _ = Glibc.kill(self.processID, signal) }
    }

    /// `kill -9`, and waits for the end.
    @discardableResult
    package func kill() -> End? {
        self.send(signal: SIGKILL)
        return try? self.waitForEnd(within: .seconds(10))
    }

    /// Waits until the program has ended by itself.
    @discardableResult
    package func waitForEnd(within duration: Duration) throws -> End {
        var result: End?
        try waitUntil("the end of process \(self.processID)", within: duration) {
            result = self.ended
            return result != nil
        }
        return result!
    }

    package var output: String { (try? String(contentsOf: self.outputFile, encoding: .utf8)) ?? "" }
    package var errorOutput: String {
        (try? String(contentsOf: self.errorFile, encoding: .utf8)) ?? ""
    }

    /// Resident memory in bytes, from `/proc`. `nil`: it has ended.
    package var residentBytes: Int? { self.statusField("VmRSS:").map { $0 * 1024 } }

    /// The highest resident memory so far in bytes.
    package var residentBytesPeak: Int? { self.statusField("VmHWM:").map { $0 * 1024 } }

    private func statusField(_ name: String) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(self.processID)/status", encoding: .utf8)
        else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap { Int($0) }
    }

    /// Runs a program to its end.
    package static func run(
        _ arguments: [String], environment: [String: String], directory: URL, within duration: Duration
    ) throws -> (end: End, output: String, errorOutput: String) {
        let name = "run-\(UUID().uuidString)"
        let child = try ChildProcess(
            name: name, arguments: arguments, environment: environment, directory: directory)
        defer {
            try? FileManager.default.removeItem(at: child.outputFile)
            try? FileManager.default.removeItem(at: child.errorFile)
        }
        do {
            let end = try child.waitForEnd(within: duration)
            return (end, child.output, child.errorOutput)
        } catch {
            child.kill()
            throw DeadlinePassed(
                "\(arguments.joined(separator: " ")); it printed: \(child.output)\(child.errorOutput)")
        }
    }

    // MARK: helpers

    private static let running = Mutex<(ids: Set<pid_t>, isHooked: Bool)>(([], false))

    /// Adds `posix_spawn_file_actions_addclosefrom_np(3)` (glibc 2.34), found by name because Glibc's Swift module hides
    /// what needs _GNU_SOURCE.
    private static func closeInherited(_ actions: inout posix_spawn_file_actions_t) throws {
        typealias Function = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
        guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else {
            throw StartFailed(description: "cannot close inherited descriptors: glibc 2.34 or newer is needed")
        }
        _ = unsafeBitCast(symbol, to: Function.self)(&actions, 3)
    }

    private static func register(_ processID: pid_t) {
        self.running.withLock { state in
            state.ids.insert(processID)
            if !state.isHooked {
                state.isHooked = true
                atexit { ChildProcess.killAll() }
            }
        }
    }

    private static func killAll() {
        self.running.withLock { state in
            for processID in state.ids { _ = Glibc.kill(processID, SIGKILL) }
        }
    }

    private static func forget(_ processID: pid_t) {
        self.running.withLock { _ = $0.ids.remove(processID) }
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        var pointers = strings.map { strdup($0) as UnsafeMutablePointer<CChar>? } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(&pointers)
    }
}
