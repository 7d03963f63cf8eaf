import ArgumentParser
import Foundation
import GatewayControlPlane
import GatewayCore
import GatewayLedger
import Logging

/// `martlet credentials`: secrets that are kept in the store.
struct CredentialsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credentials", abstract: "Secrets of models and credentials that are kept in the store.",
        subcommands: [CredentialsRotateCommand.self])
}

/// `martlet credentials rotate`: seals all stored secrets with another salt key.
struct CredentialsRotateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Seal all stored secrets with another salt key, all or none; safe to repeat.",
        discussion: "LITELLM_SALT_KEY (or MARTLET_SALT_KEY) is the new key, MARTLET_FORMER_SALT_KEY the one that the "
            + "secrets were sealed with. Start all pods with both before, and without the former one after.")

    @OptionGroup var location: LedgerLocation

    func run() async throws {
        try await reportingErrors {
            let settings = try self.location.settings()
            guard let next = settings.saltKey, let former = settings.formerSaltKey ?? settings.masterKey else {
                throw StartError(
                    message: "Set LITELLM_SALT_KEY to the new key and MARTLET_FORMER_SALT_KEY to the one in use.")
            }
            let stores = try await Stores.openForCommand(
                settings: settings, clock: SystemClock(), logger: commandLogger())
            let count = try await SecretRotation.run(
                store: stores.models, from: SecretBox(saltKey: former.reveal()),
                to: SecretBox(saltKey: next.reveal()))
            try await stores.close()
            print("\(count) models and credentials were sealed anew.")
        }
    }
}

/// Logs of a command: what an operator has to know, to standard error.
func commandLogger() -> Logger {
    Logger(label: "martlet") { _ in LineLogHandler(logLevel: .notice, isJSON: false, clock: SystemClock()) }
}
