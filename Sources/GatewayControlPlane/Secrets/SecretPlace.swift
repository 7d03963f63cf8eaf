/// A row of the store that holds secrets.
package enum StoredRow: Hashable, Sendable {
    /// By `model_info.id`.
    case model(String)
    /// By its name.
    case credential(String)
}

/// Where a sealed secret stands: its row, and the path in the row's JSON.
package struct SecretPlace: Sendable, Equatable {
    package var row: StoredRow
    /// Keys and list positions from the outside in.
    package var path: [String]

    package init(row: StoredRow, path: [String]) {
        self.row = row
        self.path = path
    }

    /// What is authenticated with the secret. With lengths, so that no two places give the same bytes.
    var bytes: [UInt8] {
        let (kind, name) =
            switch self.row {
            case .model(let id): ("model", id)
            case .credential(let name): ("credential", name)
            }
        return ([kind, name] + self.path).flatMap { Array("\($0.utf8.count):\($0)".utf8) }
    }
}
