import ArgumentParser
import Glibc

/// The command line. Exit statuses: 0 all is well, 1 something is wrong with what was given or found, 64 wrong usage.
@main
struct MartletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "One address in front of every LLM provider, with an exact ledger.",
        version: Version.text,
        subcommands: [
            ServeCommand.self, CheckCommand.self, LedgerCommand.self, FleetCommand.self, MigrateCommand.self,
            CredentialsCommand.self,
        ])

    /// As ArgumentParser's own, but for the way out.
    static func main() async { Self.leave(await Self.runToEnd()) }

    /// Apart from `leave`, because what is held where a function never returns is never freed, and would be a leak.
    private static func runToEnd() async -> ExitCode {
        do {
            var command = try Self.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return .success
        } catch {
            let status = Self.exitCode(for: error)
            let text = Self.fullMessage(for: error)
            if !text.isEmpty {
                if status.isSuccess { print(text) } else { StandardError.write(text) }
            }
            return status
        }
    }

    /// Ends the process without what libraries do at its end: OpenSSL, under libpq, frees what the threads of connections
    /// still work with, and they free it once more.
    private static func leave(_ status: ExitCode) -> Never {
        fflush(nil)
        // In a build with AddressSanitizer leaks are looked for here, since that is done at the end otherwise.
        if let check = dlsym(nil, "__lsan_do_leak_check") {
            unsafeBitCast(check, to: (@convention(c) () -> Void).self)()
        }
        _exit(status.rawValue)
    }
}

enum Version {
    static let text = "0.1.0"
}
