import ArgumentParser

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
}

enum Version {
    static let text = "0.1.0"
}
