import GatewayControlPlane

extension ConfigurationLoader {
    /// What the checks say about a row as it would be stored, beside the configuration as it stands now and the other
    /// rows. Nothing is put in force.
    /// - Parameters:
    ///   - file, environment, overrides: as for `load`.
    ///   - stored: the rows that there are.
    package func verdict(
        on candidate: StoredCandidate, file: String?, environment: [String: String],
        overrides: CommandLineOverrides, stored: OpenedModels
    ) -> CandidateVerdict {
        let now = self.load(file: file, environment: environment, overrides: overrides, stored: stored)
        guard now.settings != nil else {
            return CandidateVerdict(errors: [
                "The configuration file has errors, so nothing new can be put in force. Mend it first (martlet check)."
            ])
        }
        var next = stored
        let row: StoredRow
        switch candidate {
        case .model(let model):
            row = .model(model.modelID)
            if let index = next.models.firstIndex(where: { $0.modelID == model.modelID }) {
                next.models[index] = model
            } else {
                next.models.append(model)
            }
        case .credential(let credential):
            row = .credential(credential.name)
            if let index = next.credentials.firstIndex(where: { $0.name == credential.name }) {
                next.credentials[index] = credential
            } else {
                next.credentials.append(credential)
            }
        }
        let then = self.load(file: file, environment: environment, overrides: overrides, stored: next)
        // A credential can also break the models that use it; rows that were at fault before do not count.
        let former = Set(now.stored.rejected.map(\.row))
        let errors = then.stored.rejected.filter { $0.row == row || !former.contains($0.row) }
        return CandidateVerdict(
            errors: errors.map { Self.sentence($0, about: row) },
            warnings: then.stored.warnings.filter { $0.row == row }.map { Self.sentence($0, about: row) })
    }

    private static func sentence(_ fault: StoredFault, about row: StoredRow) -> String {
        guard fault.row != row else { return fault.message }
        return switch fault.row {
        case .model(let id): "the stored model \(id) would be out of force: \(fault.message)"
        case .credential(let name): "the stored credential \(name) would be out of force: \(fault.message)"
        }
    }
}
