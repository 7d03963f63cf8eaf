/// What the management of stored models needs from the pod. It exists while `store_model_in_db` is on.
package struct ModelAdministration: Sendable {
    package var vault: ModelVault
    /// Reads a candidate as the configuration file's entries are read, together with everything else that would be in
    /// force, without putting anything in force.
    package var check: @Sendable (StoredCandidate) async -> CandidateVerdict
    /// Runs after a change is in the store; returns when it is in force on this pod. A fleet waits for the others in
    /// it.
    package var modelsChanged: @Sendable () async -> Void

    package init(
        vault: ModelVault, check: @escaping @Sendable (StoredCandidate) async -> CandidateVerdict,
        modelsChanged: @escaping @Sendable () async -> Void
    ) {
        self.vault = vault
        self.check = check
        self.modelsChanged = modelsChanged
    }
}

/// A row as it would be stored.
package enum StoredCandidate: Sendable {
    case model(OpenedModel)
    case credential(OpenedCredential)
}

/// What the configuration's checks say about a candidate, one sentence each, without secrets.
package struct CandidateVerdict: Sendable, Equatable {
    /// Not empty: the candidate cannot be put in force.
    package var errors: [String]
    package var warnings: [String]

    package init(errors: [String] = [], warnings: [String] = []) {
        self.errors = errors
        self.warnings = warnings
    }
}
