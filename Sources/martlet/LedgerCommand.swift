import ArgumentParser
import Foundation
import GatewayConfiguration
import GatewayCore
import GatewayFleet
import GatewayLedger

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Look at the ledger, while a pod serves or not.",
        subcommands: [
            LedgerVerifyCommand.self, LedgerExportCommand.self, LedgerRebuildCommand.self, LedgerReplayCommand.self,
        ])
}

/// Where a ledger is found: by the configuration and the environment, as `serve` finds it.
struct LedgerLocation: ParsableArguments {
    @Option(name: .long, help: "The configuration file that names the data directory and the database.")
    var config: String?

    @Option(name: .long, help: "The data directory; wins over the configuration.")
    var data: String?

    func settings() throws -> Settings {
        let result = ConfigurationLoader().load(
            file: self.config, environment: ProcessInfo.processInfo.environment,
            overrides: CommandLineOverrides(dataDirectory: self.data))
        guard let settings = result.settings else {
            for diagnostic in result.diagnostics { StandardError.write(diagnostic.rendered) }
            throw ExitCode(1)
        }
        return settings
    }

    func auditor() async throws -> LedgerAuditor {
        let settings = try self.settings()
        let stores = try await Stores.openForReading(settings: settings, clock: SystemClock())
        return LedgerAuditor(
            store: stores.ledger, journalDirectory: DataPaths(directory: settings.dataDirectory).journal)
    }
}

/// Runs a command's work and says what went wrong in one line.
func reportingErrors(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as LedgerError {
        StandardError.write("error: \(error.message)")
        throw ExitCode(1)
    } catch let error as StartError {
        StandardError.write("error: \(error.message)")
        throw ExitCode(1)
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
            let auditor = try await self.location.auditor()
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

/// `martlet ledger rebuild`: counters and daily aggregates anew from the rows, also while pods serve.
struct LedgerRebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Make counters and daily sums anew from the usage rows, while pods serve.")

    @OptionGroup var location: LedgerLocation

    func run() async throws {
        try await reportingErrors {
            let settings = try self.location.settings()
            let stores = try await Stores.openForCommand(
                settings: settings, clock: SystemClock(), logger: commandLogger())
            try await stores.ledger.rebuildCounters()
            let differences = try await stores.ledger.verify()
            for difference in differences { print(difference) }
            try await stores.close()
            if !differences.isEmpty { throw ExitCode(1) }
            print("Counters and daily sums were made anew and are exact.")
        }
    }
}

/// `martlet ledger replay DIR`: ships what a dead pod left.
struct LedgerReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Ship the journal that a dead pod left behind; repeating it is safe, its files stay.")

    @OptionGroup var location: LedgerLocation

    @Argument(help: "A journal's directory, the data directory that holds it, or a directory of these.")
    var directory: String

    func run() async throws {
        try await reportingErrors {
            let settings = try self.location.settings()
            let (clock, logger) = (SystemClock(), commandLogger())
            let stores = try await Stores.openForCommand(settings: settings, clock: clock, logger: logger)
            let adopter = JournalAdopter(
                ledger: stores.ledger, fleet: stores.postgres, own: nil,
                configuration: JournalConfiguration(settings.ledger), deadAfter: settings.fleet.deadAfter, clock: clock,
                time: .system, logger: logger)
            var isWhole = true
            for adoption in try await adopter.replay(self.directory) {
                isWhole = self.report(adoption) && isWhole
            }
            try await stores.close()
            if !isWhole { throw ExitCode(1) }
        }
    }

    /// - Returns: whether all of the journal is in the store.
    private func report(_ adoption: JournalAdoption) -> Bool {
        let name = adoption.journalID?.text ?? "in \(adoption.directory)"
        switch adoption.outcome {
        case .shipped(let events, let orphaned, _):
            print(
                "Journal \(name): all its settlements are in the store; \(events) were not before, \(orphaned) of "
                    + "them of attempts that were in flight.")
            return true
        case .held:
            StandardError.write(
                "error: a process holds the journal \(name) in \(adoption.directory): a pod that runs ships its journal "
                    + "itself; else stop that process.")
        case .failed(let text):
            StandardError.write("error: journal \(name) in \(adoption.directory): \(text)")
        }
        return false
    }
}
