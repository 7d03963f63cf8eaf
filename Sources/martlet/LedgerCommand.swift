import ArgumentParser
import Foundation
import GatewayConfiguration
import GatewayLedger
import GatewaySQLite

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Look at the ledger, while a pod serves or not.",
        subcommands: [LedgerVerifyCommand.self, LedgerExportCommand.self])
}

/// Where a ledger is found.
struct LedgerLocation: ParsableArguments {
    @Option(name: .long, help: "The configuration file that names the data directory.")
    var config: String?

    @Option(name: .long, help: "The data directory; wins over the configuration.")
    var data: String?

    func auditor() throws -> LedgerAuditor {
        let directory: String
        if let data = self.data {
            directory = data
        } else {
            let result = ConfigurationLoader().load(
                file: self.config, environment: ProcessInfo.processInfo.environment, overrides: CommandLineOverrides())
            guard let settings = result.settings else {
                for diagnostic in result.diagnostics { StandardError.write(diagnostic.rendered) }
                throw ExitCode(1)
            }
            directory = settings.dataDirectory
        }
        let paths = DataPaths(directory: directory)
        let store = try SQLiteStore.openReadOnly(path: paths.database, clock: SystemClock())
        return LedgerAuditor(store: store, journalDirectory: paths.journal)
    }
}

/// `martlet ledger verify`: recounts everything from usage rows and journal and prints each difference.
struct LedgerVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Recount everything; exit status 1 when anything differs.")

    @OptionGroup var location: LedgerLocation

    func run() async throws {
        do {
            let differences = try await self.location.auditor().verify()
            for difference in differences { print(difference) }
            if !differences.isEmpty { throw ExitCode(1) }
            print("The ledger is exact.")
        } catch let error as LedgerError {
            StandardError.write("error: \(error.message)")
            throw ExitCode(1)
        }
    }
}

/// `martlet ledger export`: one attempt a line.
struct LedgerExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "export", abstract: "Print every attempt.")

    enum Format: String, ExpressibleByArgument, CaseIterable { case jsonl, csv }

    @OptionGroup var location: LedgerLocation

    @Option(name: .long, help: "jsonl or csv.")
    var format: Format = .jsonl

    func run() async throws {
        do {
            let auditor = try self.location.auditor()
            var output = StandardOutput()
            if self.format == .csv { output.line(UsageExport.csvHeader) }
            let format = self.format
            try await auditor.forEachAttempt { (row) throws(LedgerError) in
                output.line(format == .csv ? UsageExport.csvLine(row) : UsageExport.jsonLine(row))
            }
            output.flush()
        } catch let error as LedgerError {
            StandardError.write("error: \(error.message)")
            throw ExitCode(1)
        }
    }
}
