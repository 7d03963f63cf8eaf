import ArgumentParser
import Foundation
import GatewayConfiguration
import GatewayControlPlane
import GatewayLedger
import Logging

/// `martlet serve`: one pod.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", abstract: "Serve calls.")

    @Option(name: .long, help: "The configuration file (LiteLLM's config.yaml). Without it: from the environment.")
    var config: String?

    @Option(name: .long, help: "Address to listen on.")
    var host: String?

    @Option(name: .long, help: "Port to listen on; 0 for any free one.")
    var port: Int?

    @Option(name: .long, help: "Directory of the journal and the SQLite file.")
    var data: String?

    @Option(name: .long, help: "Event loops; one per usable processor without it.")
    var threads: Int?

    @Option(name: .long, help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: String?

    func run() async throws {
        let source = SettingsSource(
            file: self.config, environment: ProcessInfo.processInfo.environment,
            overrides: CommandLineOverrides(
                host: self.host, port: self.port, dataDirectory: self.data, threads: self.threads,
                logLevel: self.logLevel))
        let result = source.load()
        for diagnostic in result.diagnostics { StandardError.write(diagnostic.rendered) }
        guard let settings = result.settings else {
            StandardError.write("Martlet does not start: mend the errors above (martlet check shows them again).")
            throw ExitCode(1)
        }
        do {
            let pod = try await Pod.start(settings: settings, source: source)
            await pod.runUntilStopped()
        } catch let error as LedgerError {
            StandardError.write("error: \(error.message)")
            throw ExitCode(1)
        } catch let error as StartError {
            StandardError.write("error: \(error.message)")
            throw ExitCode(1)
        }
    }
}

/// Where a pod's settings come from, at start and at each reload.
struct SettingsSource: Sendable {
    var file: String?
    var environment: [String: String]
    var overrides: CommandLineOverrides

    /// - Parameter stored: models of the store. `nil`: not read yet.
    func load(stored: OpenedModels? = nil) -> LoadResult {
        ConfigurationLoader().load(
            file: self.file, environment: self.environment, overrides: self.overrides, stored: stored)
    }
}

/// Why a pod cannot start: what and how to mend it.
struct StartError: Error {
    var message: String
}
