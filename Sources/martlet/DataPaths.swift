import Foundation
import GatewayLedger

/// What lies where in a data directory.
struct DataPaths {
    let directory: String
    var journal: String { self.directory + "/journal" }
    var database: String { self.directory + "/martlet.sqlite" }

    /// Makes the directory, readable by its owner only.
    func create() throws(LedgerError) {
        do {
            try FileManager.default.createDirectory(
                atPath: self.directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw .unavailable(
                "The data directory \(self.directory) cannot be made. Name one that can be written with --data.")
        }
    }
}
