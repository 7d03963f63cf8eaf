import ArgumentParser
import Foundation
import GatewayConfiguration

/// `martlet check config.yaml`: every unknown, unsupported or wrong key with file, line and the mend. Offline.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a configuration file without starting anything.")

    @Argument(help: "The configuration file.")
    var file: String

    func run() throws {
        let result = ConfigurationLoader().load(
            file: self.file, environment: ProcessInfo.processInfo.environment, overrides: CommandLineOverrides())
        for diagnostic in result.diagnostics { print(diagnostic.rendered) }
        let errors = result.diagnostics.count { $0.severity == .error }
        let warnings = result.diagnostics.count - errors
        print("\(self.file): \(errors) error\(errors == 1 ? "" : "s"), \(warnings) warning\(warnings == 1 ? "" : "s")")
        if result.hasErrors { throw ExitCode(1) }
    }
}
